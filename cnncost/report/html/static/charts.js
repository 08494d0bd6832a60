'use strict';
// Where it goes: each layer's part as a bar; and what a real run measured.
report.charts = () => {
  const { layers } = report;
  let metric = 'macs';
  const bars = barred('bars', layers, () => metric, (layer) => layer[metric] || 0, '--c0',
    (layer) => `${layer.name}\n${layer.kind}, ${report.shape(layer)}\n${TITLES[metric]}: ${report.text(metric, layer[metric] || 0)}`);
  const map = report.treemap(() => metric);
  const group = document.getElementById('metric');
  group.hidden = false;
  group.addEventListener('change', (event) => { metric = event.target.value; if (bars) bars.draw(); map(); });
  measured();

  // One bar for each layer; the chosen one has another colour.
  function barred(id, rows, figure, value, hue, told) {
    const places = new Map(rows.map((row, i) => [report.index.get(row.name), i]));
    const drawn = report.chart(id, (chart) => {
      const names = report.names(rows, chart.getDom());
      return {
        ...report.base(), grid: report.grid(rows.length > 40, !names.named, names.named), xAxis: names.axis,
        tooltip: report.tooltip((points) => told(rows[points[0].dataIndex])),
        yAxis: report.axis(report.scale(figure(), rows.reduce((most, row) => Math.max(most, value(row)), 0))),
        dataZoom: report.zoom(rows.length),
        series: [{ type: 'bar', barMinWidth: 1, barMaxWidth: 90, barCategoryGap: '14%', data: rows.map(value), itemStyle: { color: report.color(hue) }, large: false,
          selectedMode: 'single', select: { itemStyle: { color: report.color('--c1'), borderColor: report.color('--ink'), borderWidth: 1 } } }],
      };
    });
    if (!drawn) return null;
    drawn.chart.getZr().on('click', (event) => { // anywhere above a layer's name, not on its bar alone
      const point = [event.offsetX, event.offsetY];
      if (!drawn.chart.containPixel('grid', point)) return;
      const row = rows[drawn.chart.convertFromPixel({ seriesIndex: 0 }, point)[0]];
      if (row) report.choose(report.index.get(row.name));
    });
    let selected = -1;
    const mark = () => {
      const next = places.has(report.chosen()) ? places.get(report.chosen()) : -1;
      if (selected >= 0 && selected !== next) drawn.chart.dispatchAction({ type: 'unselect', seriesIndex: 0, dataIndex: selected });
      if (next >= 0) drawn.chart.dispatchAction({ type: 'select', seriesIndex: 0, dataIndex: next });
      selected = next;
    };
    report.watch(mark);
    drawn.after.push(mark);
    return drawn;
  }

  function measured() {
    const found = report.data.verification;
    if (!found) return;
    const lines = found.timeline;
    const names = lines ? ['predicted', 'measured'].filter((name) => lines[name] && lines[name].length) : [];
    if (names.length) {
      const most = Math.max(...names.map((name) => lines[name].reduce((a, b) => Math.max(a, b), 0)));
      report.chart('both', () => ({
        ...report.base(), color: [report.color('--c0'), report.color('--c1')], grid: report.grid(false, true),
        tooltip: report.tooltip((points) => points.map((p) => `${p.seriesName}: ${report.bytes(p.value[1])}`).join('\n')),
        xAxis: report.axis({ type: 'value', min: 0, max: 100, name: 'share of the step\'s allocations and releases', nameLocation: 'middle', nameGap: 26, splitLine: { show: false }, axisLabel: { formatter: '{value} %' } }),
        yAxis: report.axis(report.scale('bytes', most)),
        series: names.map((name) => ({ name, type: 'line', symbol: 'none', step: 'end', lineStyle: { width: 1.8, type: name === 'predicted' ? 'dashed' : 'solid' },
          data: lines[name].map((value, i) => [(100 * i) / Math.max(lines[name].length - 1, 1), value]) })),
      }));
    }
    const timed = found.layers.filter((layer) => layer.seconds);
    if (timed.length) barred('seconds', timed, () => 'ms', (layer) => 1000 * layer.seconds, '--c3', (layer) => `${layer.name}\n${(1000 * layer.seconds).toFixed(3)} ms`);
  }
};
const TITLES = { params: 'params', macs: 'MACs', activation_bytes: 'activations', peak_bytes: 'at the peak' };
