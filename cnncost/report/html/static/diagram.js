'use strict';
// How it is wired: the chosen layer's boxes are marked, in the whole and inside its block.
report.diagram = () => {
  const boxes = new Map();
  document.querySelectorAll('#wired [data-layers]').forEach((box) => {
    JSON.parse(box.dataset.layers).forEach((i) => { if (!boxes.has(i)) boxes.set(i, []); boxes.get(i).push(box); });
  });
  let marked = [];
  report.watch((place) => {
    marked.forEach((box) => { box.classList.remove('chosen'); box.removeAttribute('aria-current'); });
    marked = boxes.get(place) || [];
    marked.forEach((box) => { box.classList.add('chosen'); box.setAttribute('aria-current', 'true'); });
    const frame = marked.length ? marked[0].closest('.tallest') : null;
    if (!frame) return; // the frame is scrolled, never the page
    const [inner, outer] = [marked[0].getBoundingClientRect(), frame.getBoundingClientRect()];
    if (inner.top < outer.top || inner.bottom > outer.bottom) frame.scrollTop += inner.top - outer.top - outer.height / 3;
  });
};
