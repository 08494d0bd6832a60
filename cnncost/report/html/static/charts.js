'use strict';
// Where it goes: each layer's part as a bar, each block's as an area; and what a real run measured.
report.charts = () => {
  let metric = 'macs';
  const { layers } = report;
  const bars = report.chart('bars', () => ({
    ...report.base(), grid: { left: 70, right: 20, top: 14, bottom: 84 },
    tooltip: report.tooltip((points) => { const layer = layers[points[0].dataIndex]; return `${layer.name}\n${layer.kind}, ${report.shape(layer)}\n${metric}: ${report.text(metric, layer[metric] || 0)}`; }),
    xAxis: report.axis({ type: 'category', data: layers.map((layer) => layer.name), axisLabel: { color: report.color('--soft'), rotate: 35, width: 110, overflow: 'truncate', hideOverlap: true } }),
    yAxis: report.axis({ type: 'value', axisLabel: { color: report.color('--soft'), formatter: (v) => report.text(metric, v) } }),
    dataZoom: [{ type: 'inside' }, { type: 'slider', bottom: 4, height: 18, textStyle: { color: report.color('--soft') } }],
    series: [{ type: 'bar', large: layers.length > 2000, barMinHeight: 0,
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
    ...report.base(), color: report.colors(),
    tooltip: report.tooltip((point) => `${(point.data && point.data.path) || report.data.analysis.model}\n${metric}: ${report.text(metric, point.value)}`, 'item'),
    series: [{ type: 'treemap', data: tree(), name: report.data.analysis.model, leafDepth: 3, roam: false, width: '100%', top: 4, bottom: 30, breadcrumb: { bottom: 0, itemStyle: { color: report.color('--wash'), textStyle: { color: report.color('--ink') } } },
      label: { formatter: (point) => `${point.name}\n${report.text(metric, point.value)}`, overflow: 'truncate' }, upperLabel: { show: true, height: 20, color: '#fff', formatter: '{b}' },
      itemStyle: { borderColor: report.color('--paper'), gapWidth: 1 }, levels: [{ itemStyle: { gapWidth: 3 } }, { itemStyle: { gapWidth: 2 }, colorSaturation: [0.35, 0.6] }, { colorSaturation: [0.3, 0.6] }] }],
  }), { click: (event) => { if (event.data && report.index.has(event.data.path)) report.choose(event.data.path); } });

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
        ...report.base(), color: report.colors(), grid: { left: 70, right: 20, top: 34, bottom: 62 }, legend: { top: 0, textStyle: { color: report.color('--ink') } },
        tooltip: report.tooltip((points) => points.map((p) => `${p.seriesName}: ${report.bytes(p.value[1])}`).join('\n')),
        xAxis: report.axis({ type: 'value', min: 0, max: 100, axisLabel: { color: report.color('--soft'), formatter: '{value} %' } }),
        yAxis: report.axis({ type: 'value', axisLabel: { color: report.color('--soft'), formatter: (v) => report.bytes(v) } }),
        dataZoom: [{ type: 'inside' }, { type: 'slider', bottom: 6, height: 20 }],
        series: names.map((name) => ({ name, type: 'line', symbol: 'none', sampling: 'max', lineStyle: { width: 1.5, type: name === 'predicted' ? 'dashed' : 'solid' },
          data: lines[name].map((value, i) => [(100 * (i + 1)) / lines[name].length, value]) })),
      }));
    }
    const timed = found.layers.filter((layer) => layer.seconds);
    if (timed.length) {
      report.chart('seconds', () => ({
        ...report.base(), grid: { left: 70, right: 20, top: 14, bottom: 84 },
        tooltip: report.tooltip((points) => `${timed[points[0].dataIndex].name}\n${(1000 * timed[points[0].dataIndex].seconds).toFixed(3)} ms`),
        xAxis: report.axis({ type: 'category', data: timed.map((layer) => layer.name), axisLabel: { color: report.color('--soft'), rotate: 35, width: 110, overflow: 'truncate', hideOverlap: true } }),
        yAxis: report.axis({ type: 'value', axisLabel: { color: report.color('--soft'), formatter: (v) => `${(1000 * v).toFixed(2)} ms` } }),
        dataZoom: [{ type: 'inside' }, { type: 'slider', bottom: 4, height: 18 }],
        series: [{ type: 'bar', data: timed.map((layer) => layer.seconds), itemStyle: { color: report.color('--c3') } }],
      }), { click: (event) => report.choose(timed[event.dataIndex].name) });
    }
  }
};
