'use strict';
// Each block's part as an area (squarified: Bruls, Huizing and van Wijk 2000), its layers inside it. Colours follow the
// order in the network, the darker the deeper: white text stays readable on all of them.
report.treemap = (figure) => {
  const element = document.getElementById('treemap');
  const { layers } = report;
  const SVG = 'http://www.w3.org/2000/svg';
  const HEAD = 17;
  const WIDE = 6.7; // of a sign, in pixels
  let rects = new Map();
  let marked = null;

  // Names are paths; a block is what stands before a slash. Where no name is a path, the blocks are the page's own.
  function tree(metric) {
    const root = { name: '', children: [], value: 0 };
    const blocks = new Map([['', root]]);
    const block = (path) => {
      if (blocks.has(path)) return blocks.get(path);
      const cut = path.lastIndexOf('/');
      const made = { name: path.slice(cut + 1), path, children: [], value: 0 };
      blocks.set(path, made);
      block(cut < 0 ? '' : path.slice(0, cut)).children.push(made);
      return made;
    };
    const paths = layers.some((layer) => layer.name.includes('/'));
    const own = [];
    if (!paths) report.data.blocks.forEach(([label, count]) => { for (let i = 0; i < count; i += 1) own.push(count > 1 ? label : ''); });
    layers.forEach((layer, i) => {
      const value = layer[metric] || 0;
      if (!value) return;
      const cut = layer.name.lastIndexOf('/');
      const path = paths ? layer.name.slice(0, Math.max(cut, 0)) : own[i].replaceAll('/', '∕');
      block(path).children.push({ name: paths ? layer.name.slice(cut + 1) : layer.name, path: layer.name, value, place: i });
    });
    const sum = (node) => {
      if (!node.children) return node.value;
      node.value = node.children.reduce((total, child) => total + sum(child), 0);
      while (node.children && node.children.length === 1) { // a block of one is what is in it
        const [only] = node.children;
        Object.assign(node, only, { name: `${node.name}/${only.name}`, children: only.children });
      }
      return node.value;
    };
    root.children.forEach(sum);
    return root.children.filter((node) => node.value);
  }
  function squarified(nodes, x, y, wide, high, put) {
    const rest = [...nodes].sort((a, b) => b.value - a.value);
    let left = rest.reduce((total, node) => total + node.value, 0);
    let at = 0;
    while (at < rest.length && wide > 0 && high > 0) {
      const side = Math.min(wide, high);
      const scale = (wide * high) / left;
      const worst = (sum, least, most) => Math.max((side * side * most * scale) / (sum * scale) ** 2, (sum * scale) ** 2 / (side * side * least * scale));
      let end = at + 1;
      let sum = rest[at].value;
      while (end < rest.length && worst(sum + rest[end].value, rest[end].value, rest[at].value) <= worst(sum, rest[end - 1].value, rest[at].value)) { sum += rest[end].value; end += 1; }
      const thick = (sum * scale) / side;
      let along = 0;
      for (; at < end; at += 1) {
        const long = (rest[at].value * scale) / thick;
        if (wide >= high) put(rest[at], x, y + along, thick, long); else put(rest[at], x + along, y, long, thick);
        along += long;
      }
      if (wide >= high) { x += thick; wide -= thick; } else { y += thick; high -= thick; }
      left -= sum;
    }
  }
  const made = (name, attributes, text) => { const node = document.createElementNS(SVG, name); Object.entries(attributes).forEach(([key, value]) => node.setAttribute(key, value)); if (text !== undefined) node.textContent = text; return node; };
  function label(svg, text, x, y, room, whole) {
    const signs = Math.floor(room / WIDE);
    if (signs < Math.min(text.length, 6) || (whole && signs < text.length)) return false;
    svg.append(made('text', { x: x.toFixed(1), y: y.toFixed(1) }, report.short(text, signs)));
    return true;
  }

  function draw() {
    const metric = figure();
    const nodes = tree(metric);
    element.hidden = nodes.length === 0;
    if (element.hidden) return;
    const wide = element.clientWidth || 800;
    const high = element.clientHeight || 400;
    const svg = made('svg', { viewBox: `0 0 ${wide} ${high}`, class: 'map' });
    rects = new Map();
    const order = [...nodes];
    const put = (depth, hue) => (node, x, y, w, h) => {
      const own = hue === null ? (205 + (180 * order.indexOf(node)) / Math.max(order.length - 1, 1)) % 360 : hue;
      const gap = depth ? 0.8 : 1.25;
      const box = [x + gap, y + gap, Math.max(w - 2 * gap, 0.3), Math.max(h - 2 * gap, 0.3)];
      const rect = made('rect', { x: box[0].toFixed(1), y: box[1].toFixed(1), width: box[2].toFixed(1), height: box[3].toFixed(1), fill: `hsl(${own.toFixed(0)} 48% ${Math.max(19, 37 - 6 * depth)}%)` });
      rect.told = `${node.path}\n${TITLES[metric]}: ${report.text(metric, node.value)}`;
      svg.append(rect);
      if (node.place !== undefined) { rect.dataset.i = node.place; rects.set(node.place, rect); }
      const amount = report.text(metric, node.value);
      if (node.children) {
        const head = box[2] > 44 && box[3] > 34 ? HEAD : 0;
        if (head) label(svg, `${node.name} · ${amount}`, box[0] + 4, box[1] + 12.5, box[2] - 8, true) || label(svg, node.name, box[0] + 4, box[1] + 12.5, box[2] - 8);
        const inner = head ? 2 : 0;
        if (w * h > 60) squarified(node.children, box[0] + inner, box[1] + head, box[2] - 2 * inner, box[3] - head - inner, put(depth + 1, own));
      } else if (box[3] > 18 && label(svg, node.name, box[0] + 4, box[1] + 14, box[2] - 8) && box[3] > 34) {
        label(svg, amount, box[0] + 4, box[1] + 28, box[2] - 8, true);
      }
    };
    squarified(nodes, 0, 0, wide, high, put(0, null));
    element.replaceChildren(svg);
    mark(report.chosen());
  }
  function mark(place) {
    if (marked) marked.remove();
    marked = null;
    const rect = rects.get(place);
    if (!rect) return;
    marked = made('rect', { class: 'chosen', ...Object.fromEntries(['x', 'y', 'width', 'height'].map((key) => [key, rect.getAttribute(key)])) });
    rect.ownerSVGElement.append(marked);
  }
  element.hidden = false;
  draw();
  let width = element.clientWidth;
  new ResizeObserver(report.throttled(() => { if (element.clientWidth && element.clientWidth !== width) { width = element.clientWidth; draw(); } })).observe(element);
  report.watch(mark);
  element.addEventListener('click', (event) => { const place = event.target.dataset.i; if (place !== undefined) report.choose(Number(place)); });
  element.addEventListener('pointermove', (event) => report.tip(event.target.told || null, event));
  element.addEventListener('pointerleave', () => report.tip(null));
  return draw;
};
