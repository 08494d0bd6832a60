'use strict';
// What one neuron of the chosen layer sees of the model's input.
report.field = () => {
  const frame = document.getElementById('field');
  const input = report.data.analysis.input_shapes[0];
  if (!frame || !input || input.length < 3) return;
  const most = [input[0], input[1]];
  const svg = frame.querySelector('svg');
  const [outside, inside] = ['.outside', '.seen'].map((name) => svg.querySelector(name));
  const text = document.getElementById('field-text');
  const inputs = [document.getElementById('field-row'), document.getElementById('field-column')];
  let layer = null;
  const pair = (value) => Array.isArray(value) && value.length === 2 && value.every((n) => typeof n === 'number');
  const usable = (row) => Boolean(row) && pair(row.receptive_field) && pair(row.jump) && pair(row.start) && Boolean(row.output_shape) && row.output_shape.length === 3 && row.output_shape.every((n) => n > 0);
  const set = (rect, low, size) => [['x', low[1]], ['y', low[0]], ['width', size[1]], ['height', size[0]]].forEach(([key, value]) => rect.setAttribute(key, value));

  function show() {
    const shape = layer.output_shape;
    const neuron = inputs.map((field, axis) => Math.max(0, Math.min(shape[axis] - 1, Math.round(Number(field.value)) || 0)));
    const low = neuron.map((n, axis) => layer.start[axis] + n * layer.jump[axis]);
    const size = layer.receptive_field;
    const end = low.map((begin, axis) => begin + size[axis]);
    // The whole field where it is not far larger than the input; else it leaves the picture at all its sides.
    const margin = most.map((n, axis) => Math.max(n * 0.06, Math.min(Math.max(-low[axis], end[axis] - n, 0) * 1.06, n * 0.5)));
    svg.setAttribute('viewBox', [-margin[1], -margin[0], most[1] + 2 * margin[1], most[0] + 2 * margin[0]].join(' '));
    set(outside, low, size);
    const from = low.map((begin, axis) => Math.max(0, Math.min(begin, most[axis])));
    set(inside, from, end.map((last, axis) => Math.max(0, Math.min(last, most[axis]) - from[axis])));
    const span = (axis) => `${Math.max(0, low[axis])} to ${Math.min(most[axis], end[axis]) - 1}${low[axis] < 0 || end[axis] > most[axis] ? ` (and padding: ${low[axis]} to ${end[axis] - 1})` : ''}`;
    text.textContent = `Neuron (${neuron[0]}, ${neuron[1]}) of ${layer.name} (${report.shape(layer)}) sees rows ${span(0)} and columns ${span(1)} of the ${most[0]}×${most[1]} input. Its receptive field is ${size[0]}×${size[1]} and moves by ${layer.jump[0]}×${layer.jump[1]} from one neuron to the next.`;
  }
  function of(row) {
    layer = row;
    inputs.forEach((field, axis) => { field.max = layer.output_shape[axis] - 1; field.value = Math.floor((layer.output_shape[axis] - 1) / 2); });
    show();
  }
  inputs.forEach((field) => field.addEventListener('input', show));
  svg.addEventListener('click', (event) => {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    inputs.forEach((field, axis) => { field.value = Math.max(0, Math.min(layer.output_shape[axis] - 1, Math.round(((axis ? at.x : at.y) - layer.start[axis] - layer.receptive_field[axis] / 2) / layer.jump[axis]))); });
    show();
  });
  const first = [...report.layers].reverse().find((row) => usable(row) && row.output_shape[0] * row.output_shape[1] > 1) || report.layers.find(usable);
  if (!first) return;
  frame.hidden = false;
  of(first);
  report.watch((place) => {
    const row = report.layers[place];
    if (usable(row)) of(row);
    else if (row) text.textContent = `${row.name} has no places of its own, or its field has no fixed spacing: a neuron of it sees all that reaches it. The picture is of ${layer.name}.`;
  });
};
