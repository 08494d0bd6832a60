'use strict';
// What all charts have in common: drawn anew when the size, the colours or the medium change.
report.chart = (id, option, on) => {
  const element = document.getElementById(id);
  if (!element || !window.echarts) return null;
  element.hidden = false;
  element.textContent = '';
  const chart = echarts.init(element, null, { renderer: 'svg' });
  const after = [];
  const draw = () => {
    chart.setOption(option(chart), { notMerge: true });
    const picture = element.querySelector('svg'); // printed as wide as the paper
    picture.setAttribute('viewBox', `0 0 ${chart.getWidth()} ${chart.getHeight()}`);
    after.forEach((work) => work());
  };
  draw();
  let width = element.clientWidth;
  const resized = report.throttled(() => { if (element.clientWidth && element.clientWidth !== width) { width = element.clientWidth; chart.resize(); draw(); } });
  new ResizeObserver(resized).observe(element);
  report.repainted(draw);
  if (on) Object.entries(on).forEach(([event, handler]) => chart.on(event, handler));
  return { chart, draw, element, after };
};
report.repainted = (work) => ['(prefers-color-scheme: dark)', 'print'].forEach((query) => matchMedia(query).addEventListener('change', work));
report.base = () => ({
  animation: false, textStyle: { fontFamily: 'inherit', color: report.color('--ink') },
  aria: { enabled: matchMedia('(prefers-contrast: more)').matches, label: { enabled: false }, decal: { show: true } },
});
report.tooltip = (formatter) => ({
  trigger: 'axis', renderMode: 'richText', confine: true, backgroundColor: report.color('--paper'), borderColor: report.color('--line'),
  textStyle: { color: report.color('--ink'), fontSize: 12 }, formatter,
});
report.axis = (more) => ({
  axisLine: { lineStyle: { color: report.color('--line') } }, axisTick: { lineStyle: { color: report.color('--line') } }, splitLine: { lineStyle: { color: report.color('--line') } },
  nameTextStyle: { color: report.color('--soft') }, ...more, axisLabel: { color: report.color('--soft'), hideOverlap: true, ...more.axisLabel },
});
// Slanted names need more room than the chart library leaves them: the distance from the axis too.
report.grid = (zoom, title, slanted = false) => ({ left: 8, right: 18, top: 14, bottom: (zoom ? 34 : 6) + (title ? 18 : 0) + (slanted ? 16 : 0), containLabel: true });
report.zoom = (count, more) => (count > 40 && !matchMedia('print').matches ? [{ type: 'inside', zoomOnMouseWheel: 'ctrl', moveOnMouseWheel: false, ...more },
  { type: 'slider', bottom: 6, height: 16, showDetail: false, brushSelect: false, borderColor: report.color('--line'), backgroundColor: report.color('--wash'), fillerColor: report.color('--accent-wash'), handleStyle: { color: report.color('--accent'), borderColor: report.color('--accent') },
    moveHandleSize: 0, showDataShadow: false, ...more }] : []);
// Names under the bars where each has room; else how many there are.
report.names = (layers, element) => {
  const room = element.clientWidth / layers.length >= 24;
  const title = room ? '' : `${layers.length.toLocaleString('en')} layers, in order`;
  return { named: room, axis: report.axis({ type: 'category', data: layers.map((layer) => layer.name), name: title, nameLocation: 'middle', nameGap: 8, splitLine: { show: false }, axisTick: { show: room, alignWithLabel: true },
    axisLabel: { show: room, rotate: 38, interval: 0, hideOverlap: false, formatter: (name) => report.short(name, 18) } }) };
};
