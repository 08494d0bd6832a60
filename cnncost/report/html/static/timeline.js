'use strict';
// When memory is used: live bytes by category over the ops, and what is alive at one of them.
report.timeline = () => {
  const step = report.data.step;
  if (!step) return;
  const count = step.ops.length;
  // Live bytes of each category at each op, at the op's highest: a buffer counts from the op that makes it to the op that frees it.
  const series = step.categories.map(() => new Float64Array(count + 1));
  for (const [from, to, size, category] of step.buffers) {
    series[category][from] += size;
    if (to !== null && to + 1 <= count) series[category][to + 1] -= size;
  }
  series.forEach((values) => { for (let i = 1; i <= count; i += 1) values[i] += values[i - 1]; });
  const used = step.categories.map((name, i) => i).filter((i) => series[i].some((value) => value > 0));
  let here = step.peak_op;

  const title = (i) => `${i + 1} of ${count.toLocaleString('en')}: ${step.ops[i][1]}${step.ops[i][0] ? ` of ${step.ops[i][0]}` : ''} (${step.ops[i][2]}), ${report.bytes(step.ops[i][3])} live`;
  const option = () => ({
    ...report.base(), color: report.colors(),
    grid: { ...report.grid(true, true), top: 52 }, legend: report.legend(),
    tooltip: report.tooltip((points) => [title(points[0].dataIndex), ...points.map((p) => `${p.seriesName}: ${report.bytes(p.value)}`)].join('\n')),
    xAxis: report.axis({ type: 'category', data: step.ops.map((op, i) => i + 1), boundaryGap: false }),
    yAxis: report.axis({ type: 'value', axisLabel: { color: report.color('--soft'), formatter: (v) => report.bytes(v) } }),
    dataZoom: report.zoom(count),
    series: used.map((category, place) => ({
      name: step.categories[category], type: 'line', stack: 'live', step: 'end', symbol: 'none', sampling: 'max', lineStyle: { width: 1 }, areaStyle: { opacity: 0.75 },
      data: Array.from(series[category].subarray(0, count)),
      ...(place === 0 ? { markLine: { symbol: 'none', silent: true, animation: false, label: { color: report.color('--ink'), formatter: (p) => p.name },
        data: [{ name: `peak ${report.bytes(step.peak_bytes)}`, xAxis: step.peak_op, lineStyle: { color: report.color('--bad'), type: 'dashed' } },
          { name: '', xAxis: here, lineStyle: { color: report.color('--ink'), type: 'solid' } }] } } : {}),
    })),
  });
  const drawn = report.chart('timeline', option);
  if (drawn) {
    drawn.chart.getZr().on('click', (event) => {
      const point = [event.offsetX, event.offsetY];
      if (drawn.chart.containPixel('grid', point)) go(drawn.chart.convertFromPixel({ seriesIndex: 0 }, point)[0]);
    });
  }

  const slider = document.getElementById('step');
  const body = document.querySelector('#alive tbody');
  const more = document.getElementById('alive-more');
  const cell = (row, text, number) => { const td = document.createElement('td'); if (number) td.className = 'n'; td.textContent = text; row.append(td); return td; };
  function go(to) {
    here = Math.max(0, Math.min(count - 1, Math.round(to)));
    slider.value = here;
    document.getElementById('step-name').textContent = title(here);
    document.getElementById('alive-when').textContent = here === step.peak_op ? 'at the peak' : `at op ${here + 1}`;
    const alive = step.buffers.filter(([from, end]) => from <= here && (end === null || end >= here)).sort((a, b) => b[2] - a[2]);
    const sum = alive.reduce((total, held) => total + held[2], 0) || 1;
    body.replaceChildren(...alive.slice(0, 12).map(([op, , size, category]) => {
      const row = document.createElement('tr');
      const link = document.createElement('a');
      link.className = 'layer';
      link.href = `#layer=${encodeURIComponent(step.ops[op][0])}`;
      link.textContent = step.ops[op][0];
      cell(row, '').append(link);
      cell(row, step.ops[op][1]);
      cell(row, step.categories[category]);
      const amount = cell(row, report.bytes(size), true);
      const bar = document.createElement('span');
      bar.className = 'bar';
      bar.style.width = `${(100 * size) / alive[0][2]}%`;
      amount.append(bar);
      cell(row, `${((100 * size) / sum).toFixed(1)}%`, true);
      return row;
    }));
    if (more) more.textContent = alive.length > 12 ? `and ${(alive.length - 12).toLocaleString('en')} more.` : '';
    if (drawn) drawn.draw(true);
  }
  slider.addEventListener('input', () => go(Number(slider.value)));
  document.getElementById('step-back').addEventListener('click', () => go(here - 1));
  document.getElementById('step-on').addEventListener('click', () => go(here + 1));
  document.getElementById('step-peak').addEventListener('click', () => go(step.peak_op));
  document.getElementById('stepper').hidden = false;
  go(here);
  report.watch((name) => { // the first op of a chosen layer
    const first = name === null ? -1 : step.ops.findIndex((op) => op[0] === name);
    if (first >= 0) go(first);
  });
};
