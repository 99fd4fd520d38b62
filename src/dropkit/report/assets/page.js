// Draws the learning curves from the data in the page. Everything else on the page works without this script.
(function () {
  "use strict";
  const source = document.getElementById("curve-data");
  if (!source || typeof uPlot === "undefined") return;
  const data = JSON.parse(source.textContent);
  const panels = Array.from(document.querySelectorAll(".curve"));
  const picker = document.getElementById("metric");
  const log = document.getElementById("log");
  const toggles = Array.from(document.querySelectorAll("input[data-plan]"));
  const key = uPlot.sync("curves");
  const MEDIAN = 0, LOW = 1, HIGH = 2;
  let charts = [];

  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const metric = () => data.metrics.find((m) => m.name === picker.value);
  const shown = (plan) => toggles[plan].checked;
  const write = (value, share) =>
    value == null ? "–" : share ? (100 * value).toFixed(2) + " %" : String(Number(value.toPrecision(4)));
  const tick = (value, share) => (value == null ? "" : String(Number(((share ? 100 : 1) * value).toPrecision(6))) + (share ? " %" : ""));

  // Both panels share this range. The first epochs are left out of it: they would flatten all that follows.
  function range(from, to) {
    const first = from <= data.epochs[0] ? data.epochs[Math.floor(data.epochs.length * 0.15)] : from;
    let low = Infinity, high = -Infinity;
    for (const part of ["train", "val"]) {
      data.series[picker.value][part].forEach((lines, plan) => {
        if (!shown(plan)) return;
        for (let i = 0; i < data.epochs.length; i++) {
          if (data.epochs[i] < first || data.epochs[i] > to) continue;
          for (const line of lines) {
            const v = line[i];
            if (v == null || (log.checked && v <= 0)) continue;
            low = Math.min(low, v);
            high = Math.max(high, v);
          }
        }
      });
    }
    if (low > high) return log.checked ? [0.1, 1] : [0, 1];
    if (log.checked) return [low / 1.1, high * 1.1];
    const pad = (high - low || Math.abs(high) || 1) * 0.05;
    return [low >= 0 ? Math.max(0, low - pad) : low - pad, high + pad];
  }

  function build(panel) {
    const { share } = metric();
    const series = [{}], bands = [], columns = [data.epochs];
    data.series[picker.value][panel.dataset.part].forEach((lines, plan) => {
      const color = css("--c" + data.colors[plan]);
      const positive = (line) => (log.checked ? line.map((v) => (v > 0 ? v : null)) : line);
      const edge = { width: 0, points: { show: false }, show: shown(plan) };
      series.push(edge, { ...edge }, {
        stroke: color, width: 2, show: shown(plan), points: { show: data.epochs.length < 3, size: 6, fill: color },
      });
      columns.push(positive(lines[HIGH]), positive(lines[LOW]), positive(lines[MEDIAN]));
      bands.push({ series: [series.length - 3, series.length - 2], fill: color + "2e" });
    });
    const axis = { stroke: css("--soft"), grid: { stroke: css("--line"), width: 1 }, ticks: { stroke: css("--line"), width: 1 }, font: "12px system-ui, sans-serif" };
    const readout = panel.parentElement.querySelector(".readout");
    panel.replaceChildren();
    return new uPlot(
      {
        width: Math.max(200, panel.clientWidth), height: 300, series, bands,
        legend: { show: false },
        cursor: { sync: { key: key.key }, points: { size: 7 } },
        scales: {
          x: { time: false, range: (u, low, high) => (low === high ? [low - 0.5, high + 0.5] : [low, high]) },
          y: { distr: log.checked ? 3 : 1, range: (u) => range(u.scales.x.min ?? data.epochs[0], u.scales.x.max ?? Infinity) },
        },
        axes: [
          { ...axis, label: "epoch", labelSize: 18, labelFont: axis.font, size: 34, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000] },
          { ...axis, size: 62, values: (u, ticks) => ticks.map((t) => tick(t, share)) },
        ],
        hooks: {
          setCursor: [(u) => {
            const at = u.cursor.idx;
            readout.textContent = at == null ? "" : "epoch " + data.epochs[at] + ": " + data.plans
              .map((name, plan) => (shown(plan) ? name + " " + write(data.series[picker.value][panel.dataset.part][plan][MEDIAN][at], share) : null))
              .filter(Boolean).join(", ");
          }],
        },
      },
      columns, panel,
    );
  }

  function draw() {
    charts.forEach((chart) => { key.unsub(chart); chart.destroy(); });
    charts = panels.map(build);
  }

  function print(on) {
    document.documentElement.classList.toggle("printing", on);
    draw();
  }

  picker.addEventListener("change", draw);
  log.addEventListener("change", draw);
  toggles.forEach((toggle) => toggle.addEventListener("change", draw));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  addEventListener("beforeprint", () => print(true));
  addEventListener("afterprint", () => print(false));
  new ResizeObserver(() => charts.forEach((chart, i) => {
    const width = Math.max(200, panels[i].clientWidth);
    if (chart.width !== width) chart.setSize({ width, height: 300 });
  })).observe(document.querySelector(".panels"));
  draw();
})();
