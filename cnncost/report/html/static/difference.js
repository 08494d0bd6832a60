'use strict';
// Layers that are the same are hidden unless asked for; words filter the rest.
(() => {
  const rows = Array.from(document.querySelectorAll('#table tbody tr'));
  const words = rows.map((row) => row.textContent.toLowerCase());
  const filter = document.getElementById('filter');
  const same = document.getElementById('same');
  const sift = () => {
    const asked = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach((row, i) => {
      const fits = (same.checked || !row.classList.contains('is-same')) && asked.every((word) => words[i].includes(word));
      row.hidden = !fits;
      shown += fits;
    });
    document.getElementById('matches').textContent = `${shown.toLocaleString('en')} of ${rows.length.toLocaleString('en')} layers`;
  };
  filter.addEventListener('input', sift);
  same.addEventListener('change', sift);
  document.getElementById('tools').hidden = false;
  sift();
})();
