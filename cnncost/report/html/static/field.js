'use strict';
// What one neuron of the chosen layer sees of the model's input.
report.field = () => {
  const place = document.getElementById('field');
  const input = report.data.analysis.input_shapes[0];
  if (!place || !input || input.length < 3) return;
  const [height, width] = input;
  if (!height || !width) return;
  const svg = place.querySelector('svg');
  const seen = svg.querySelector('.seen');
  const text = document.getElementById('field-text');
  const inputs = [document.getElementById('field-row'), document.getElementById('field-column')];
  let layer = null;
  const usable = (row) => row.receptive_field && row.jump && row.start && row.receptive_field.length === 2 && [...row.receptive_field, ...row.jump, ...row.start].every((n) => typeof n === 'number');

  function show() {
    const shape = layer.output_shape;
    const neuron = inputs.map((field, axis) => Math.max(0, Math.min(shape[axis] - 1, Number(field.value) || 0)));
    const low = neuron.map((n, axis) => layer.start[axis] + n * layer.jump[axis]);
    const size = layer.receptive_field;
    seen.setAttribute('x', low[1]); seen.setAttribute('y', low[0]);
    seen.setAttribute('width', size[1]); seen.setAttribute('height', size[0]);
    const span = (axis, most) => { const [a, b] = [low[axis], low[axis] + size[axis] - 1]; return `${a} to ${b}${a < 0 || b >= most ? ' (with padding)' : ''}`; };
    text.textContent = `Neuron (${neuron[0]}, ${neuron[1]}) of ${layer.name} (${report.shape(layer)}) sees rows ${span(0, height)} and columns ${span(1, width)} of the ${height}×${width} input: ${size[0]}×${size[1]}, moving by ${layer.jump[0]}×${layer.jump[1]}.`;
  }
  function of(row) {
    layer = row;
    inputs.forEach((field, axis) => { field.max = layer.output_shape[axis] - 1; field.value = Math.floor((layer.output_shape[axis] - 1) / 2); });
    show();
  }
  inputs.forEach((field) => field.addEventListener('input', show));
  svg.addEventListener('click', (event) => {
    const box = svg.getBoundingClientRect();
    const view = svg.viewBox.baseVal;
    const scale = Math.max(view.width / box.width, view.height / box.height);
    const at = [view.y + view.height / 2 + (event.clientY - box.top - box.height / 2) * scale, view.x + view.width / 2 + (event.clientX - box.left - box.width / 2) * scale];
    inputs.forEach((field, axis) => { field.value = Math.max(0, Math.min(layer.output_shape[axis] - 1, Math.round((at[axis] - layer.start[axis] - layer.receptive_field[axis] / 2) / layer.jump[axis]))); });
    show();
  });
  const first = [...report.layers].reverse().find((row) => usable(row) && row.output_shape && row.output_shape.length === 3 && row.output_shape[0] * row.output_shape[1] > 1) || report.layers.find((row) => usable(row) && row.output_shape && row.output_shape.length === 3);
  if (!first) return;
  place.hidden = false;
  of(first);
  report.watch((name) => {
    const row = name === null ? null : report.layers[report.index.get(name)];
    if (row && usable(row) && row.output_shape && row.output_shape.length === 3) of(row);
    else if (row) text.textContent = `${row.name} has no places of its own, or its field has no fixed spacing: a neuron of it sees all that reaches it.`;
  });
};
