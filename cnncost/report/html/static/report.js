'use strict';
// The page's state: its data, which layer is chosen (by its place, -1: none), and how numbers are written.
const report = (() => {
  const data = JSON.parse(document.getElementById('report-data').textContent);
  const layers = data.analysis.layers;
  const index = new Map(layers.map((layer, i) => [layer.name, i]));
  const watchers = [];
  let chosen = -1;

  const BYTES = [' B', ' KiB', ' MiB', ' GiB', ' TiB', ' PiB'];
  const COUNTS = ['', 'k', 'M', 'G', 'T', 'P'];
  const scaled = (value, units, base) => {
    let unit = 0;
    let size = Math.abs(value);
    while (size >= base && unit + 1 < units.length) { size /= base; unit += 1; }
    return (unit ? size.toFixed(2) : String(size)) + units[unit];
  };
  const bytes = (value) => (value === null || value === undefined ? 'unknown' : (value < 0 ? '-' : '') + scaled(value, BYTES, 1024));
  const count = (value) => (value < 10000 ? value.toLocaleString('en') : scaled(value, COUNTS, 1000));
  const text = (metric, value) => (metric.endsWith('bytes') ? bytes(value) : count(value));
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const shape = (layer) => (layer.output_shape ? layer.output_shape.join('×') || 'scalar' : `${layer.output_shapes.length} outputs`);

  // An axis from 0 whose ticks are round numbers of one unit.
  function scale(metric, most) {
    const isBytes = metric.endsWith('bytes');
    const base = isBytes ? 1024 : 1000;
    const units = isBytes ? BYTES : COUNTS;
    const top = most > 0 ? most : 1;
    let power = 0;
    while (top >= base ** (power + 1) && power + 1 < units.length) power += 1;
    const unit = base ** power;
    const rough = top / unit / 4;
    const ten = 10 ** Math.floor(Math.log10(rough));
    let step = [1, 2, 2.5, 5, 10].find((n) => n * ten >= rough * 0.999) * ten * unit;
    if (metric !== 'ms') step = Math.max(1, step);
    return { type: 'value', min: 0, max: Math.ceil(top / step - 1e-9) * step, interval: step,
      axisLabel: { color: color('--soft'), formatter: (value) => (value ? `${Number((value / unit).toPrecision(4))}${metric === 'ms' ? ' ms' : units[power]}` : '0') } };
  }

  function choose(place, push = true) {
    const next = place >= 0 && place < layers.length ? place : -1;
    if (next === chosen) return;
    chosen = next;
    if (push) history.replaceState(null, '', next < 0 ? location.pathname + location.search : `#layer=${encodeURIComponent(layers[next].name)}`);
    watchers.forEach((watch) => watch(chosen));
  }
  function fromAddress() {
    const { hash } = location;
    if (hash.startsWith('#row-')) choose(Number(hash.slice(5)), false);
    if (!hash.startsWith('#layer=')) return;
    try { choose(index.get(decodeURIComponent(hash.slice(7))) ?? -1, false); } catch (error) { /* a broken address chooses nothing */ }
  }
  // The end of a path says most; what is left out stands before it.
  const short = (name, most) => (name.length <= most ? name : `…${name.slice(name.length - most + 1)}`);
  return { data, layers, index, bytes, count, text, color, shape, scale, short, choose, fromAddress, watch: (f) => watchers.push(f), chosen: () => chosen };
})();

// At most one call for each picture that the screen shows.
report.throttled = (work) => {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; work(); });
  };
};
// What is told beside the pointer.
report.tip = (() => {
  const tip = document.createElement('div');
  tip.id = 'tip';
  tip.hidden = true;
  tip.setAttribute('aria-hidden', 'true');
  document.body.append(tip);
  return (text, event) => {
    tip.hidden = text === null;
    if (text === null) return;
    tip.textContent = text;
    const { width, height } = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(4, Math.min(event.clientX + 14, document.documentElement.clientWidth - width - 4))}px`;
    tip.style.top = `${event.clientY + 18 + height > innerHeight ? event.clientY - height - 10 : event.clientY + 18}px`;
  };
})();
