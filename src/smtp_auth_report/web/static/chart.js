// Draws the charts. What is drawn is the JSON in data-figures; names are set as text, never as markup.
(() => {
  const charts = new Map();
  const numbers = new Intl.NumberFormat(document.documentElement.lang);
  const short = new Intl.NumberFormat(document.documentElement.lang, { notation: "compact" });
  const perCent = (data, part) => data.words.per_cent.replace("#", new Intl.NumberFormat(document.documentElement.lang, { maximumFractionDigits: part > 0 && part < 0.0995 ? 1 : 0 }).format(part * 100));
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const element = (tag, name, ...children) => {
    const made = document.createElement(tag);
    if (name) made.className = name;
    made.append(...children);
    return made;
  };

  // Patterns tell series apart where colours do not.
  const line = (angle, gap, width = 1) => ({ symbol: "rect", dashArrayX: [1, 0], dashArrayY: [width, gap], rotation: angle });
  const PATTERNS = {
    plain: null,
    rising: line(-Math.PI / 4, 6),
    falling: line(Math.PI / 4, 6),
    flat: line(0, 5),
    upright: line(Math.PI / 2, 6),
    dots: { symbol: "circle", dashArrayX: [[7, 7], [0, 7, 7, 0]], dashArrayY: [7, 0], symbolSize: 0.35 },
    hatched: line(-Math.PI / 4, 4, 2),
  };
  const decal = (name) => (PATTERNS[name] ? { ...PATTERNS[name], color: colour("chart-pattern") } : undefined);

  // The line between the parts of a bar would cover a part that is no higher than the line, and the axis below it.
  const parts = (data, values) => {
    const highest = Math.max(...data.slots.map((_, index) => values.reduce((sum, series) => sum + series[index], 0)));
    return values.map((series) => series.map((value) => (value < highest / 100 ? { value, itemStyle: { borderWidth: 0 } } : value)));
  };

  const seriesOf = (data, values) => data.series.map((series, position) => ({
    name: String(position),
    type: data.bars ? "bar" : "line",
    stack: "all",
    data: values[position],
    color: colour(series.colour),
    itemStyle: { decal: decal(series.pattern), borderColor: colour("chart-surface"), borderWidth: data.bars ? 0.5 : 0 },
    ...(data.bars ? { barMaxWidth: 96, barCategoryGap: "32%" } : { symbol: "none", lineStyle: { width: 1 }, areaStyle: { opacity: 0.9 } }),
    emphasis: { disabled: true },
  }));

  const band = (data, choose, style, z) => ({
    type: "bar", xAxisIndex: 1, yAxisIndex: 1, barWidth: "100%", barGap: "-100%", barCategoryGap: 0, silent: true, z, tooltip: { show: false },
    data: data.slots.map((slot, index) => (choose(slot, index) ? { value: 1, itemStyle: style } : null)),
  });

  const tip = (data, chosen) => (points) => {
    const index = points[0].dataIndex;
    const slot = data.slots[index];
    const rows = data.series
      .map((series, position) => ({ series, position, value: series.values[index] }))
      .filter((row) => row.value && chosen[row.position] !== false)
      .sort((a, b) => b.value - a.value);
    const total = rows.reduce((sum, row) => sum + row.value, 0);
    const body = rows.map((row) => {
      const swatch = element("span", "swatch");
      swatch.style.backgroundColor = colour(row.series.colour);
      const name = element("td", "", swatch, element("bdi", "", row.series.label));
      return element("tr", "", name, element("td", "n", numbers.format(row.value)), element("td", "n share", perCent(data, row.value / total)));
    });
    const foot = element("tr", "total", element("td", "", data.words.total), element("td", "n", numbers.format(total)), element("td", ""));
    const note = slot.partial ? [element("p", "muted", data.words.partial)] : [];
    return element("div", "chart-tip", element("strong", "", slot.title), ...note, element("table", "", element("tbody", "", ...body, foot)));
  };

  const options = (data, chosen) => {
    const shared = data.kind === "share";
    const visible = (position) => chosen[position] !== false;
    const totals = data.slots.map((_, index) => data.series.reduce((sum, series, position) => sum + (visible(position) ? series.values[index] : 0), 0));
    const values = (series) => (shared ? series.values.map((value, index) => (totals[index] ? value / totals[index] : 0)) : series.values);
    const text = { color: colour("chart-text"), fontFamily: getComputedStyle(document.body).fontFamily, fontSize: 12 };
    const names = data.slots.map((slot) => slot.label);
    const hidden = { show: false };
    return {
      animation: false,
      textStyle: text,
      grid: { left: 8, right: 12, top: 12, bottom: 4, outerBoundsMode: "same", outerBoundsContain: "axisLabel" },
      legend: { show: false, data: data.series.map((_, position) => String(position)), selected: Object.fromEntries(data.series.map((_, position) => [String(position), visible(position)])) },
      tooltip: {
        trigger: "axis", confine: true, transitionDuration: 0, padding: 0, borderWidth: 1, axisPointer: { type: "shadow", shadowStyle: { color: colour("chart-pointer") } },
        backgroundColor: colour("chart-surface"), borderColor: colour("chart-line"), textStyle: text, formatter: tip(data, chosen),
      },
      xAxis: [
        { type: "category", data: names, axisTick: { show: false }, axisLine: { lineStyle: { color: colour("chart-line") } }, axisLabel: { ...text, hideOverlap: true } },
        { type: "category", data: names, ...hidden, axisPointer: { show: false } },
      ],
      yAxis: [
        {
          type: "value", min: 0, max: shared ? 1 : undefined, minInterval: shared ? undefined : 1, interval: shared ? 0.25 : undefined, splitNumber: 4,
          axisLabel: { ...text, formatter: shared ? (part) => perCent(data, part) : (value) => (value < 10000 ? numbers.format(value) : short.format(value)) },
          splitLine: { lineStyle: { color: colour("chart-grid") } },
        },
        { type: "value", min: 0, max: 1, ...hidden, axisPointer: { show: false } },
      ],
      series: [
        band(data, (slot) => slot.weekend, { color: colour("chart-weekend") }, -1),
        ...seriesOf(data, data.bars ? parts(data, data.series.map(values)) : data.series.map(values)),
        band(data, (slot) => slot.partial, { color: "transparent", decal: { ...PATTERNS.hatched, color: colour("chart-partial") } }, 5),
      ],
    };
  };

  // Dragging over the chart narrows the period.
  const drag = (chart, box, data, signal) => {
    if (!data.zoom) return;
    let start = null;
    const shade = element("div", "chart-drag");
    const slotAt = (x) => Math.max(0, Math.min(data.slots.length - 1, Math.round(chart.convertFromPixel({ xAxisIndex: 0 }, x))));
    const inside = (event) => chart.containPixel({ gridIndex: 0 }, [event.offsetX, event.offsetY]);
    chart.getZr().on("mousedown", (event) => { if (inside(event)) { start = event.offsetX; box.append(shade); shade.hidden = true; } });
    chart.getZr().on("mousemove", (event) => {
      if (start === null) return;
      shade.hidden = Math.abs(event.offsetX - start) < 8;
      shade.style.left = `${Math.min(start, event.offsetX)}px`;
      shade.style.width = `${Math.abs(event.offsetX - start)}px`;
    });
    addEventListener("mouseup", (event) => {
      if (start === null) return;
      const end = event.clientX - box.getBoundingClientRect().left;
      const [first, last] = [slotAt(Math.min(start, end)), slotAt(Math.max(start, end))];
      const far = Math.abs(end - start) >= 8;
      start = null;
      shade.remove();
      if (!far || (first === 0 && last === data.slots.length - 1)) return;
      const target = new URL(data.zoom, location.href);
      target.searchParams.set("from", data.slots[first].first);
      target.searchParams.set("to", data.slots[last].last);
      location.assign(target);
    }, { signal });
  };

  const legend = (box, chart, data, chosen) => {
    const list = document.getElementById(box.dataset.legend);
    list?.querySelectorAll("button[data-series]").forEach((button) => {
      const position = Number(button.dataset.series);
      button.disabled = false;
      button.addEventListener("click", () => {
        chosen[position] = chosen[position] === false;
        button.setAttribute("aria-pressed", String(chosen[position] !== false));
        chart.setOption(options(data, chosen));
      });
    });
  };

  // For paper a chart is drawn once more, at a width of its own, and finer than a screen is.
  const PAPER = { width: 960, height: 320, devicePixelRatio: 2 };
  const print = (box, data, chosen, signal) => {
    const paper = element("div", "paper");
    let chart = null;
    addEventListener("beforeprint", () => {
      box.append(paper);
      chart ??= echarts.init(paper, null, PAPER);
      chart.setOption(options(data, chosen), true);
    }, { signal });
    addEventListener("afterprint", () => { chart?.dispose(); chart = null; paper.remove(); }, { signal });
  };

  const draw = (box) => {
    if (charts.has(box)) return;
    const data = JSON.parse(box.dataset.figures);
    const stage = element("div", "stage"); // the library styles it; htmx copies the styles of what has an id, which the policy forbids
    box.append(stage);
    const chart = echarts.init(stage, null, { renderer: "canvas" });
    const chosen = {};
    const show = () => chart.setOption(options(data, chosen), true);
    show();
    legend(box, chart, data, chosen);
    const ended = new AbortController();
    drag(chart, box, data, ended.signal);
    print(box, data, chosen, ended.signal);
    const observer = new ResizeObserver(() => chart.resize());
    observer.observe(box);
    document.addEventListener("theme-change", show, { signal: ended.signal });
    charts.set(box, () => { observer.disconnect(); ended.abort(); chart.dispose(); });
    box.dataset.drawn = "true";
  };

  const drawAll = () => {
    charts.forEach((dispose, box) => { if (!box.isConnected) { dispose(); charts.delete(box); } });
    document.querySelectorAll("[data-figures]").forEach(draw);
  };
  document.addEventListener("htmx:after:swap", drawAll);
  document.addEventListener("DOMContentLoaded", drawAll);
})();
