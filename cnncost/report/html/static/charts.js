'use strict';
// Where it goes: each layer's part as a bar, each block's as an area; and what a real run measured.
report.charts = () => {
  let metric = 'macs';
  const { layers } = report;
  const bars = report.chart('bars', () => ({
    ...report.base(), grid: report.grid(layers.length > 40),
    tooltip: report.tooltip((points) => { const layer = layers[points[0].dataIndex]; return `${layer.name}\n${layer.kind}, ${report.shape(layer)}\n${metric}: ${report.text(metric, layer[metric] || 0)}`; }),
    xAxis: report.axis(report.names(layers)),
    yAxis: report.axis({ type: 'value', axisLabel: { color: report.color('--soft'), formatter: (v) => report.text(metric, v) } }),
    dataZoom: report.zoom(layers.length),
    series: [{ type: 'bar', barMinWidth: 1, barCategoryGap: '12%',
      data: layers.map((layer) => ({ value: layer[metric] || 0, itemStyle: { color: report.color(layer.name === report.chosen() ? '--c1' : '--c0') } })) }],
  }), { click: (event) => report.choose(layers[event.dataIndex].name) });

  const tree = () => { // names are paths; a block is what stands before a slash
    const root = { children: [] };
    const blocks = new Map([['', root]]);
    const block = (path) => {
      if (blocks.has(path)) return blocks.get(path);
      const cut = path.lastIndexOf('/');
      const made = { name: path.slice(cut + 1), path, children: [] };
      blocks.set(path, made);
      block(cut < 0 ? '' : path.slice(0, cut)).children.push(made);
      return made;
    };
    for (const layer of layers) {
      const cut = layer.name.lastIndexOf('/');
      if (layer[metric]) block(cut < 0 ? '' : layer.name.slice(0, cut)).children.push({ name: layer.name.slice(cut + 1), path: layer.name, value: layer[metric] });
    }
    return root.children;
  };
  const map = report.chart('treemap', () => ({
    ...report.base(),
    tooltip: report.tooltip((point) => `${(point.data && point.data.path) || report.data.analysis.model}\n${metric}: ${report.text(metric, point.value)}`, 'item'),
    series: [{ type: 'treemap', data: colored(tree()), name: report.data.analysis.model, roam: false, nodeClick: false, left: 0, right: 0, top: 0, bottom: 0, breadcrumb: { show: false }, visibleMin: 60, childrenVisibleMin: 400,
      label: { formatter: (point) => `${point.name}\n${report.text(metric, point.value)}`, overflow: 'truncate', color: '#fff', fontSize: 11, lineHeight: 14, padding: [2, 3], ellipsis: '' },
      labelLayout: (place) => (place.rect.width < 52 || place.rect.height < 26 ? { x: -9999, y: -9999 } : {}),
      upperLabel: { show: true, height: 18, color: '#fff', fontSize: 11, formatter: (point) => `${point.name}  ${report.text(metric, point.value)}`, overflow: 'truncate' },
      itemStyle: { borderColor: report.color('--paper'), borderWidth: 1, gapWidth: 1 }, levels: [{ itemStyle: { gapWidth: 3, borderWidth: 0 }, upperLabel: { show: false } }] }],
  }), { click: (event) => { if (event.data && report.index.has(event.data.path)) report.choose(event.data.path); } });
  // One colour for each block of the top, the darker the deeper: white text stays readable on all of them.
  function colored(nodes) {
    const hues = [217, 28, 268, 174, 340, 95, 200, 48];
    const paint = (node, hue, depth) => { node.itemStyle = { color: `hsl(${hue} 55% ${Math.max(26, 40 - 5 * depth)}%)`, borderColor: `hsl(${hue} 55% ${Math.max(26, 40 - 5 * depth)}%)` }; (node.children || []).forEach((child) => paint(child, hue, depth + 1)); };
    nodes.forEach((node, i) => paint(node, hues[i % hues.length], 0));
    return nodes;
  }

  const redraw = () => [bars, map].forEach((drawn) => drawn && drawn.draw());
  const group = document.getElementById('metric');
  group.hidden = false;
  group.addEventListener('change', (event) => { metric = event.target.value; redraw(); });
  report.watch((name) => {
    if (!bars) return;
    bars.draw(true);
    bars.chart.dispatchAction(name === null ? { type: 'hideTip' } : { type: 'showTip', seriesIndex: 0, dataIndex: report.index.get(name) });
  });
  measured();

  function measured() {
    const found = report.data.verification;
    if (!found) return;
    const lines = found.timeline;
    if (lines) {
      const names = Object.keys(lines).filter((name) => lines[name].length);
      report.chart('both', () => ({
        ...report.base(), color: report.colors(), grid: report.grid(true, true), legend: report.legend(),
        tooltip: report.tooltip((points) => points.map((p) => `${p.seriesName}: ${report.bytes(p.value[1])}`).join('\n')),
        xAxis: report.axis({ type: 'value', min: 0, max: 100, axisLabel: { color: report.color('--soft'), formatter: '{value} %' } }),
        yAxis: report.axis({ type: 'value', axisLabel: { color: report.color('--soft'), formatter: (v) => report.bytes(v) } }),
        dataZoom: report.zoom(1000),
        series: names.map((name) => ({ name, type: 'line', symbol: 'none', sampling: 'max', lineStyle: { width: 1.5, type: name === 'predicted' ? 'dashed' : 'solid' },
          data: lines[name].map((value, i) => [(100 * (i + 1)) / lines[name].length, value]) })),
      }));
    }
    const timed = found.layers.filter((layer) => layer.seconds);
    if (timed.length) {
      report.chart('seconds', () => ({
        ...report.base(), grid: report.grid(timed.length > 40),
        tooltip: report.tooltip((points) => `${timed[points[0].dataIndex].name}\n${(1000 * timed[points[0].dataIndex].seconds).toFixed(3)} ms`),
        xAxis: report.axis(report.names(timed)),
        yAxis: report.axis({ type: 'value', axisLabel: { color: report.color('--soft'), formatter: (v) => `${(1000 * v).toFixed(2)} ms` } }),
        dataZoom: report.zoom(timed.length),
        series: [{ type: 'bar', data: timed.map((layer) => layer.seconds), itemStyle: { color: report.color('--c3') } }],
      }), { click: (event) => report.choose(timed[event.dataIndex].name) });
    }
  }
};
