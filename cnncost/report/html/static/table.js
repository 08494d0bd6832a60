'use strict';
// Every layer: sorted by a column's button, filtered by words, the chosen one marked.
report.table = () => {
  const table = document.getElementById('table');
  const body = table.tBodies[0];
  const box = table.parentElement;
  const rows = Array.from(body.rows);
  const words = rows.map((row) => row.textContent.toLowerCase());
  const heads = Array.from(table.tHead.rows[0].cells);
  const numeric = heads.map((head, column) => rows.length > 0 && rows[0].cells[column].dataset.v !== undefined);
  const compare = new Intl.Collator('en', { numeric: true }).compare;
  const values = heads.map(() => null); // of a column, read when it is first asked for
  const read = (column) => { values[column] ??= rows.map((row) => (numeric[column] ? Number(row.cells[column].dataset.v) : row.cells[column].textContent)); return values[column]; };
  // A long table keeps the widths that it has: else every order is measured anew, cell by cell.
  const frozen = (yes) => {
    if (rows.length < 200 || yes === (table.style.tableLayout === 'fixed')) return;
    const widths = heads.map((head) => head.offsetWidth);
    heads.forEach((head, i) => { head.style.width = yes ? `${widths[i]}px` : ''; });
    table.style.width = yes ? `${widths.reduce((sum, width) => sum + width, 0)}px` : '';
    table.style.tableLayout = yes ? 'fixed' : '';
  };
  let wide = box.clientWidth;
  new ResizeObserver(() => { if (box.clientWidth !== wide) { wide = box.clientWidth; frozen(false); } }).observe(box);
  matchMedia('print').addEventListener('change', () => frozen(false));
  const ORDERS = [[null, 'ascending', 'descending'], [null, 'descending', 'ascending']]; // texts, numbers

  heads.forEach((head, column) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener('click', () => {
      const orders = ORDERS[Number(numeric[column])];
      const next = orders[(orders.indexOf(head.getAttribute('aria-sort')) + 1) % 3];
      heads.forEach((other) => other.removeAttribute('aria-sort'));
      if (next !== null) head.setAttribute('aria-sort', next);
      const sign = next === 'descending' ? -1 : 1;
      frozen(true);
      const own = read(column);
      const keyed = rows.map((row, i) => [next === null ? 0 : own[i], i]);
      keyed.sort(([a, i], [b, j]) => sign * (numeric[column] || next === null ? a - b : compare(a, b)) || i - j);
      body.replaceChildren(...keyed.map(([, i]) => rows[i]));
      box.scrollTop = 0;
    });
  });

  const filter = document.getElementById('filter');
  const matches = document.getElementById('matches');
  const sift = report.throttled(() => {
    const asked = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach((row, i) => { const fits = asked.every((word) => words[i].includes(word)); if (row.hidden === fits) row.hidden = !fits; shown += fits; });
    matches.textContent = asked.length ? `${shown.toLocaleString('en')} of ${rows.length.toLocaleString('en')} layers` : '';
  });
  filter.addEventListener('input', sift);
  document.getElementById('tools').hidden = false;
  body.addEventListener('click', (event) => {
    const row = event.target.closest('tr');
    if (row && !event.target.closest('a') && !String(getSelection())) report.choose(Number(row.dataset.i));
  });

  let marked = null;
  report.watch((place) => {
    if (marked) { marked.classList.remove('chosen'); marked.removeAttribute('aria-current'); }
    marked = place < 0 ? null : rows[place];
    if (!marked) return;
    marked.classList.add('chosen');
    marked.setAttribute('aria-current', 'true');
    const top = marked.offsetTop - table.tHead.offsetHeight;
    if (top < box.scrollTop || top > box.scrollTop + box.clientHeight - 80) box.scrollTop = top - box.clientHeight / 3;
  });
};
