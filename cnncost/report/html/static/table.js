'use strict';
// Every layer: sorted by a column's button, filtered by words, the chosen one marked.
report.table = () => {
  const table = document.getElementById('table');
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const words = rows.map((row) => row.textContent.toLowerCase());
  const heads = Array.from(table.tHead.rows[0].cells);
  const value = (row, column) => { const cell = row.cells[column]; return cell.dataset.v === undefined ? cell.textContent : Number(cell.dataset.v); };

  heads.forEach((head, column) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener('click', () => {
      const before = head.getAttribute('aria-sort');
      heads.forEach((other) => other.removeAttribute('aria-sort'));
      const number = rows.length > 0 && typeof value(rows[0], column) === 'number';
      const next = before === null ? (number ? 'descending' : 'ascending') : before === 'descending' ? (number ? 'ascending' : null) : (number ? null : 'descending');
      if (next !== null) head.setAttribute('aria-sort', next);
      const sign = next === 'descending' ? -1 : 1;
      const sorted = next === null ? rows : [...rows].sort((a, b) => {
        const [x, y] = [value(a, column), value(b, column)];
        const order = typeof x === 'number' ? x - y : x.localeCompare(y, 'en', { numeric: true });
        return sign * order || a.dataset.i - b.dataset.i;
      });
      body.append(...sorted);
    });
  });

  const filter = document.getElementById('filter');
  const matches = document.getElementById('matches');
  const sift = () => {
    const asked = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach((row, i) => { const fits = asked.every((word) => words[i].includes(word)); row.hidden = !fits; shown += fits; });
    matches.textContent = asked.length ? `${shown.toLocaleString('en')} of ${rows.length.toLocaleString('en')} layers` : '';
  };
  filter.addEventListener('input', sift);
  document.getElementById('tools').hidden = false;
  body.addEventListener('click', (event) => {
    const row = event.target.closest('tr');
    if (row && !event.target.closest('a')) report.choose(report.layers[Number(row.dataset.i)].name);
  });

  let marked = null;
  report.watch((name) => {
    if (marked) { marked.classList.remove('chosen'); marked.removeAttribute('aria-current'); }
    marked = name === null ? null : rows[report.index.get(name)];
    if (!marked) return;
    marked.classList.add('chosen');
    marked.setAttribute('aria-current', 'true');
    const box = table.parentElement;
    const top = marked.offsetTop - table.tHead.offsetHeight;
    if (top < box.scrollTop || top > box.scrollTop + box.clientHeight - 80) box.scrollTop = top - box.clientHeight / 3;
  });
};
