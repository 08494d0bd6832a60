'use strict';
// When memory is used: live bytes by category over the ops, and what is alive at one of them.
report.timeline = () => {
  const { step, layers } = { step: report.data.step, layers: report.layers };
  if (!step) return;
  const { ops, buffers } = step;
  const count = ops.layer.length;
  const MOST = 1200; // points of a line; each stands for the highest op of its run
  const summed = (wanted) => { // live bytes at each op's highest moment, of the buffers that are wanted
    const live = new Float64Array(count + 1);
    buffers.first.forEach((first, k) => { if (wanted(k)) { live[first] += buffers.bytes[k]; live[buffers.last[k] + 1] -= buffers.bytes[k]; } });
    for (let i = 1; i <= count; i += 1) live[i] += live[i - 1];
    return live.subarray(0, count);
  };
  const series = step.categories.map((name, category) => summed((k) => buffers.category[k] === category));
  const used = step.categories.map((name, i) => i).filter((i) => series[i].some((value) => value > 0));
  const total = new Float64Array(count);
  series.forEach((values) => values.forEach((value, i) => { total[i] += value; }));
  let own = null; // live bytes of the chosen layer's buffers
  let here = step.peak_op;
  let points = [];

  const layer = (op) => (ops.layer[op] < 0 ? '' : layers[ops.layer[op]].name);
  const title = (i) => `${(i + 1).toLocaleString('en')} of ${count.toLocaleString('en')}: ${step.types[ops.type[i]]}${layer(i) ? ` of ${layer(i)}` : ''} (${step.phases[ops.phase[i]]}), ${report.bytes(total[i])} live`;
  const thinned = (from, to) => {
    const cells = Math.min(MOST, to - from);
    return Array.from({ length: cells }, (none, cell) => {
      let best = from + Math.floor((cell * (to - from)) / cells);
      const end = from + Math.floor(((cell + 1) * (to - from)) / cells);
      for (let i = best + 1; i < end; i += 1) if (total[i] > total[best]) best = i;
      return best;
    });
  };
  const data = (values) => [...points.map((i) => [i, values[i]]), [points.length ? points[points.length - 1] + 1 : 1, points.length ? values[points[points.length - 1]] : 0]];
  const lines = () => [
    ...used.map((category) => ({ id: `c${category}`, name: step.categories[category], type: 'line', stack: 'live', step: 'end', symbol: 'none', lineStyle: { width: 0 }, areaStyle: { opacity: 0.85 }, color: report.color(`--c${category}`), data: data(series[category]) })),
    { id: 'own', name: 'the chosen layer', type: 'line', step: 'end', symbol: 'none', z: 5, color: report.color('--ink'), lineStyle: { width: own ? 2 : 0, type: [4, 2] }, data: own ? data(own) : [] },
  ];
  const option = () => {
    points = thinned(0, count);
    return {
      ...report.base(), grid: { ...report.grid(count > 40, true), top: 24 },
      tooltip: report.tooltip((found) => { const i = points[Math.min(found[0].dataIndex, points.length - 1)]; return [title(i), ...used.map((c) => `${step.categories[c]}: ${report.bytes(series[c][i])}`), ...(own ? [`the chosen layer: ${report.bytes(own[i])}`] : [])].join('\n'); }),
      xAxis: report.axis({ type: 'value', min: 0, max: count, minInterval: 1, name: `${count.toLocaleString('en')} ops, in their order`, nameLocation: 'middle', nameGap: 24, splitLine: { show: false }, axisLabel: { showMaxLabel: false, formatter: (value) => value.toLocaleString('en') } }),
      yAxis: report.axis(report.scale('bytes', step.peak_bytes)),
      dataZoom: report.zoom(count, { filterMode: 'none', minValueSpan: 4 }),
      series: lines(),
    };
  };
  const drawn = report.chart('timeline', option);
  const marks = drawn ? ['peak', 'here'].map((name) => { const line = document.createElement('div'); line.className = `mark ${name}`; drawn.element.append(line); return line; }) : [];
  if (drawn) marks[0].dataset.text = `peak ${report.bytes(step.peak_bytes)}`;
  const place = () => marks.forEach((line, i) => { // the lines stand above the chart: a step moves them alone
    const x = drawn.chart.convertToPixel({ xAxisIndex: 0 }, (i ? here : step.peak_op) + 0.5);
    const grid = drawn.chart.getModel().getComponent('grid').coordinateSystem.getRect();
    line.hidden = !(x >= grid.x - 1 && x <= grid.x + grid.width + 1);
    line.style.left = `${x}px`;
    line.style.top = `${grid.y - (i ? 0 : 6)}px`;
    line.style.height = `${grid.height + (i ? 0 : 6)}px`;
    line.classList.toggle('left', x > grid.x + grid.width / 2);
  });
  if (drawn) {
    drawn.after.push(place);
    place();
    drawn.chart.on('datazoom', report.throttled(() => {
      const { startValue, endValue } = drawn.chart.getOption().dataZoom[0];
      points = thinned(Math.max(0, Math.floor(startValue)), Math.min(count, Math.ceil(endValue)));
      drawn.chart.setOption({ series: lines() });
      place();
    }));
    drawn.chart.getZr().on('click', (event) => {
      const point = [event.offsetX, event.offsetY];
      if (drawn.chart.containPixel('grid', point)) go(Math.floor(drawn.chart.convertFromPixel({ seriesIndex: 0 }, point)[0]));
    });
  }

  const slider = document.getElementById('step');
  const body = document.querySelector('#alive tbody');
  const more = document.getElementById('alive-more');
  const cell = (row, text, kind) => { const td = document.createElement('td'); if (kind) td.className = kind; td.textContent = text; row.append(td); return td; };
  function tell(alive) {
    const sum = total[here] || 1;
    body.replaceChildren(...alive.slice(0, 12).map((k) => {
      const [row, op, size] = [document.createElement('tr'), buffers.op[k], buffers.bytes[k]];
      if (ops.layer[op] >= 0) {
        const link = document.createElement('a');
        link.className = 'layer';
        link.href = `#row-${ops.layer[op]}`;
        link.dataset.i = ops.layer[op];
        link.textContent = layer(op);
        cell(row, '').append(link);
        row.classList.toggle('chosen', ops.layer[op] === report.chosen());
      } else cell(row, 'the step itself');
      cell(row, step.types[ops.type[op]], 'wide');
      const kind = cell(row, step.categories[buffers.category[k]]);
      const swatch = document.createElement('i');
      swatch.className = `swatch c${buffers.category[k]}`;
      kind.prepend(swatch);
      const amount = cell(row, report.bytes(size), 'n');
      const bar = document.createElement('span');
      bar.className = 'bar';
      bar.style.width = `${(100 * size) / buffers.bytes[alive[0]]}%`;
      amount.append(bar);
      cell(row, `${((100 * size) / sum).toFixed(1)}%`, 'n');
      return row;
    }));
    more.textContent = alive.length > 12 ? `and ${(alive.length - 12).toLocaleString('en')} more.` : '';
  }
  const show = report.throttled(() => {
    document.getElementById('step-name').textContent = title(here);
    slider.setAttribute('aria-valuetext', title(here));
    document.getElementById('alive-when').textContent = here === step.peak_op ? 'at the peak' : `at op ${(here + 1).toLocaleString('en')}`;
    const alive = [];
    for (let k = 0; k < buffers.first.length; k += 1) if (buffers.first[k] <= here && buffers.last[k] >= here) alive.push(k);
    tell(alive.sort((a, b) => buffers.bytes[b] - buffers.bytes[a] || a - b));
    if (drawn) place();
  });
  function go(to) {
    here = Math.max(0, Math.min(count - 1, to));
    slider.value = here;
    show();
  }
  slider.addEventListener('input', () => go(Number(slider.value)));
  document.getElementById('step-back').addEventListener('click', () => go(here - 1));
  document.getElementById('step-on').addEventListener('click', () => go(here + 1));
  document.getElementById('step-peak').addEventListener('click', () => go(step.peak_op));
  const first = document.getElementById('step-first');
  first.addEventListener('click', () => go(ops.layer.indexOf(report.chosen())));
  document.getElementById('stepper').hidden = false;
  go(here);
  report.watch((chosen) => {
    first.hidden = chosen < 0 || !ops.layer.includes(chosen);
    own = chosen < 0 ? null : summed((k) => ops.layer[buffers.op[k]] === chosen);
    if (drawn) drawn.chart.setOption({ series: lines() });
    document.getElementById('key-own').hidden = own === null;
    show();
  });
};
