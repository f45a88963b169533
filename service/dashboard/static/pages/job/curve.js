// What training reports while it runs: the learning curve beside what it is measured by, and its other metrics.
import { html, useState } from "../../lib/ui.js";
import { useYardsticks } from "../../lib/yardsticks.js";
import { useRules } from "../../lib/titles.js";
import { pointsOf } from "../../lib/history.js";
import { number, words } from "../../lib/format.js";
import { Sheet } from "../../parts/page.js";
import { Chart, Drawing } from "../../parts/chart.js";
import { CurveChart } from "../../parts/learning_curve.js";

const OF_COST = ["cost", "validation_cost", "best_cost", "bound"];

/** Cost against iterations, with the bound and the best classical rule as lines. */
export function LearningCurve({ job, problem, history, tick }) {
  const rule = useRules(problem);
  const marks = useYardsticks(job);
  const lines = {
    batches: pointsOf(history, "cost"), validated: pointsOf(history, "validation_cost"),
    best: pointsOf(history, "best_cost"), bound: pointsOf(history, "bound"),
  };
  return html`<${Sheet} title="Learning curve"><${CurveChart} lines=${lines} marks=${marks} tick=${tick} rule=${rule} /><//>`;
}

/** Every other metric as a small chart. */
export function OtherMetrics({ history, tick }) {
  const names = [...history.metrics.keys()].filter((name) => !OF_COST.includes(name) && history.metrics.get(name).seen > 1);
  const [open, setOpen] = useState(false);
  if (!names.length) return null;
  return html`<${Sheet}><details open=${open} onToggle=${(e) => setOpen(e.currentTarget.open)}><summary>Other metrics (${names.length})</summary>
    ${open && html`<div class="columns narrow small-charts">${names.map((name) => html`<${Small} key=${name} name=${name} points=${pointsOf(history, name)} tick=${tick} />`)}</div>`}</details><//>`;
}

function Small({ name, points, tick }) {
  const option = ({ base, axis }) => ({
    legend: { show: false }, grid: { left: 4, right: 10, top: 10, bottom: 4, containLabel: true }, tooltip: base.tooltip,
    xAxis: { type: "value", ...axis, splitLine: { show: false }, max: "dataMax" },
    yAxis: { type: "value", scale: true, splitNumber: 3, ...axis, axisLabel: { ...axis.axisLabel, formatter: (v) => number(v, 3) } },
    series: [{ type: "line", name: words(name), data: points, symbol: "none", lineStyle: { width: 1.6 } }],
  });
  return html`<${Drawing} title=${words(name)} table=${{ columns: ["Iteration", words(name)], rows: points }}>
    <${Chart} option=${option} keys=${[tick, points.length]} height=${150} label=${`${words(name)} by iteration, ${number(points.at(-1)?.[1])} at last`} /><//>`;
}
