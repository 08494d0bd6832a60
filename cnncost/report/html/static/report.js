'use strict';
// The page's state: its data, which layer is chosen, and how numbers are written.
const report = (() => {
  const data = JSON.parse(document.getElementById('report-data').textContent);
  const layers = data.analysis.layers;
  const index = new Map(layers.map((layer, i) => [layer.name, i]));
  const watchers = [];
  let chosen = null;

  const scaled = (value, units, base) => {
    let unit = 0;
    let size = Math.abs(value);
    while (size >= base && unit + 1 < units.length) { size /= base; unit += 1; }
    return (unit ? size.toFixed(2) : String(size)) + units[unit];
  };
  const bytes = (value) => (value === null || value === undefined ? 'unknown' : (value < 0 ? '-' : '') + scaled(value, [' B', ' KiB', ' MiB', ' GiB', ' TiB'], 1024));
  const count = (value) => (value < 10000 ? value.toLocaleString('en') : scaled(value, ['', 'k', 'M', 'G', 'T', 'P'], 1000));
  const text = (metric, value) => (metric.endsWith('bytes') ? bytes(value) : count(value));
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const shape = (layer) => (layer.output_shape ? layer.output_shape.join('×') : `${layer.output_shapes.length} outputs`);

  function choose(name, push = true) {
    const next = name !== null && index.has(name) ? name : null;
    if (next === chosen) return;
    chosen = next;
    if (push) history.replaceState(null, '', next === null ? location.pathname + location.search : `#layer=${encodeURIComponent(next)}`);
    watchers.forEach((watch) => watch(chosen));
  }
  function fromAddress() {
    if (!location.hash.startsWith('#layer=')) return;
    try { choose(decodeURIComponent(location.hash.slice(7)), false); } catch (error) { /* a broken address chooses nothing */ }
  }
  return { data, layers, index, bytes, count, text, color, shape, choose, fromAddress, watch: (f) => watchers.push(f), chosen: () => chosen };
})();

// A chart that is drawn anew when its size or the colours change.
report.chart = (id, option, on) => {
  const element = document.getElementById(id);
  if (!element || !window.echarts) return null;
  element.hidden = false;
  element.textContent = '';
  const chart = echarts.init(element, null, { renderer: 'svg' });
  const draw = (merge) => chart.setOption(option(), { notMerge: !merge });
  draw();
  new ResizeObserver(() => chart.resize()).observe(element);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => draw());
  if (on) Object.entries(on).forEach(([event, handler]) => chart.on(event, handler));
  return { chart, draw };
};
report.base = () => ({
  animation: !matchMedia('(prefers-reduced-motion: reduce)').matches && report.layers.length < 300, animationDuration: 250,
  textStyle: { fontFamily: 'inherit', color: report.color('--ink') }, aria: { enabled: true, decal: { show: false } },
});
report.tooltip = (formatter, trigger = 'axis') => ({
  trigger, renderMode: 'richText', confine: true, backgroundColor: report.color('--paper'), borderColor: report.color('--line'),
  textStyle: { color: report.color('--ink'), fontSize: 12 }, formatter,
});
report.axis = (more) => ({
  axisLine: { lineStyle: { color: report.color('--line') } }, axisLabel: { color: report.color('--soft') }, splitLine: { lineStyle: { color: report.color('--line') } }, ...more,
});
// Room for labels of any length; a slider under charts that are worth zooming.
report.grid = (zoom, legend) => ({ left: 8, right: 16, top: legend ? 36 : 16, bottom: zoom ? 44 : 12, containLabel: true });
report.zoom = (count) => (count > 40 ? [{ type: 'inside', zoomOnMouseWheel: 'ctrl', moveOnMouseWheel: false },
  { type: 'slider', bottom: 8, height: 18, showDetail: false, brushSelect: false, borderColor: report.color('--line'), fillerColor: report.color('--accent-wash'), handleStyle: { color: report.color('--accent') },
    dataBackground: { lineStyle: { color: report.color('--line') }, areaStyle: { color: report.color('--wash') } }, selectedDataBackground: { lineStyle: { color: report.color('--soft') }, areaStyle: { color: report.color('--line') } } }] : []);
report.names = (layers) => ({ type: 'category', data: layers.map((layer) => layer.name),
  axisLabel: { color: report.color('--soft'), show: layers.length <= 40, rotate: 40, width: 96, overflow: 'truncate', interval: 0 }, axisTick: { show: layers.length <= 40 },
  name: layers.length <= 40 ? '' : `${layers.length.toLocaleString('en')} layers, in order`, nameLocation: 'middle', nameGap: 10, nameTextStyle: { color: report.color('--soft') } });
report.legend = () => ({ top: 0, type: 'scroll', icon: 'roundRect', itemWidth: 14, itemHeight: 10, itemGap: 22, textStyle: { color: report.color('--ink') } });
report.colors = () => ['--c0', '--c1', '--c2', '--c3'].map(report.color);
