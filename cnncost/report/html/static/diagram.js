'use strict';
// How it is wired: choosing a box chooses its layer, and the chosen layer's box is marked.
report.diagram = () => {
  const boxes = new Map();
  document.querySelectorAll('#wired [data-layers]').forEach((box) => {
    JSON.parse(box.dataset.layers).forEach((i) => { if (!boxes.has(i)) boxes.set(i, []); boxes.get(i).push(box); });
  });
  let marked = [];
  report.watch((name) => {
    marked.forEach((box) => box.classList.remove('chosen'));
    marked = (name === null ? null : boxes.get(report.index.get(name))) || [];
    marked.forEach((box) => box.classList.add('chosen'));
  });
};
