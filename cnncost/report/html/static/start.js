'use strict';
// Everything begins here; links to layers choose them wherever they stand.
(() => {
  report.timeline();
  report.charts();
  report.diagram();
  report.field();
  report.table();

  const aside = document.getElementById('chosen');
  report.watch((name) => {
    aside.hidden = name === null;
    document.querySelectorAll('.arithmetic[open]').forEach((part) => { if (part.dataset.auto) { part.open = false; delete part.dataset.auto; } });
    if (name === null) return;
    const layer = report.layers[report.index.get(name)];
    document.getElementById('chosen-name').textContent = name;
    document.getElementById('chosen-text').textContent = `${layer.kind}, ${report.shape(layer)}: ${report.count(layer.params)} params, ${report.count(layer.macs)} MACs, ${report.bytes(layer.activation_bytes)} out`;
    const part = Array.from(document.querySelectorAll('.arithmetic')).find((details) => details.dataset.layer === name);
    document.getElementById('chosen-how').hidden = !part;
    if (part && !part.open) { part.open = true; part.dataset.auto = '1'; }
  });
  document.getElementById('chosen-none').addEventListener('click', () => report.choose(null));
  document.getElementById('chosen-how').addEventListener('click', (event) => {
    event.preventDefault();
    const part = Array.from(document.querySelectorAll('.arithmetic')).find((details) => details.dataset.layer === report.chosen());
    if (part) part.scrollIntoView({ block: 'center' });
  });
  document.addEventListener('click', (event) => {
    const link = event.target.closest('a.layer');
    if (!link) return;
    event.preventDefault();
    report.choose(decodeURIComponent(link.getAttribute('href').slice(7)));
  });
  document.addEventListener('keydown', (event) => { if (event.key === 'Escape') report.choose(null); });
  window.addEventListener('hashchange', report.fromAddress);

  const download = document.getElementById('download');
  download.hidden = false;
  download.addEventListener('click', () => {
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([JSON.stringify(report.data, null, 1)], { type: 'application/json' }));
    link.download = `${download.dataset.name.replace(/[^\w.-]+/g, '_').slice(0, 100) || 'model'}.json`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
  report.fromAddress();
})();
