'use strict';
// Everything begins here; links to layers choose them wherever they stand.
(() => {
  report.timeline();
  report.charts();
  report.diagram();
  report.field();
  report.table();

  const aside = document.getElementById('chosen');
  const how = document.getElementById('chosen-how');
  let opened = null; // the arithmetic that the choice opened
  const close = () => { report.choose(-1); };
  report.watch((place) => {
    aside.hidden = place < 0;
    if (opened) opened.open = false;
    opened = null;
    document.getElementById('told').textContent = place < 0 ? 'No layer is chosen.' : `Chosen: ${report.layers[place].name}`;
    if (place < 0) return;
    const layer = report.layers[place];
    document.getElementById('chosen-name').textContent = report.short(layer.name, 80);
    document.getElementById('chosen-text').textContent = `${layer.kind}, ${report.shape(layer)}: ${report.count(layer.params)} params, ${report.count(layer.macs)} MACs, ${report.bytes(layer.activation_bytes)} out`;
    const part = document.getElementById(`how-${place}`);
    how.hidden = !part;
    how.href = `#how-${place}`;
    if (part && !part.open) { part.open = true; opened = part; }
  });
  document.getElementById('chosen-none').addEventListener('click', close);
  how.addEventListener('click', (event) => {
    event.preventDefault(); // the address keeps the layer
    const part = document.getElementById(`how-${report.chosen()}`);
    part.open = true;
    part.scrollIntoView({ block: 'center' });
    part.querySelector('summary').focus({ preventScroll: true });
  });
  document.addEventListener('click', (event) => {
    const link = event.target.closest('a.layer');
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    report.choose(Number(link.dataset.i));
  });
  document.addEventListener('keydown', (event) => { if (event.key === 'Escape' && !(event.target.type === 'search' && event.target.value)) close(); });
  window.addEventListener('hashchange', report.fromAddress);

  const download = document.getElementById('download');
  download.hidden = false;
  download.addEventListener('click', () => {
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([JSON.stringify(report.data, null, 1)], { type: 'application/json' }));
    link.download = `${download.dataset.name.replace(/[^\w.-]+/g, '_').replace(/^\.+/, '').slice(0, 100) || 'model'}.json`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
  report.fromAddress();
})();
