// Cost against iterations: training batches, validations, the best so far; the bound and the best rule as lines.
import { html, useState } from "../lib/ui.js";
import { colour } from "../lib/theme.js";
import { inSentence, number, words } from "../lib/format.js";
import { Chart, Drawing } from "./chart.js";

const WIDE = 3; // times the settled part's height from which on early costs would flatten everything else

/** Where the vertical axis may end so that the settled part is seen; undefined where nothing needs to be cut. */
function ceiling(lines, marks) {
  const all = [...lines.batches, ...lines.validated, ...lines.best].map(([, y]) => y);
  if (all.length < 12) return undefined;
  const settled = lines.batches.slice(Math.floor(lines.batches.length / 4)).concat(lines.validated.slice(1), lines.best.slice(1)).map(([, y]) => y);
  if (!settled.length) return undefined;
  const low = Math.min(...settled, ...[marks?.bound, marks?.rule].filter((v) => v !== null && v !== undefined));
  const high = Math.max(...settled, marks?.rule ?? -Infinity);
  const top = high + 0.15 * (high - low);
  return Math.max(...all) > low + WIDE * (top - low) ? top : undefined;
}

const flat = (name, value, colourOf, x) => ({
  type: "line", name, symbol: "none", lineStyle: { type: "dashed", width: 2, color: colourOf }, itemStyle: { color: colourOf }, data: [[x[0], value], [x[1], value]],
});

function seriesOf(lines, marks, x) {
  const found = [];
  if (lines.batches.length) found.push({ type: "line", name: "Training batches", data: lines.batches, symbol: "none", lineStyle: { width: 1, opacity: 0.65 }, itemStyle: { color: colour("--series-8") }, color: colour("--series-8") });
  if (lines.validated.length) found.push({ type: "line", name: "Validation", data: lines.validated, symbol: "circle", symbolSize: 6, lineStyle: { width: 1.5 }, color: colour("--series-1") });
  if (lines.best.length) found.push({ type: "line", name: "Best so far", step: "end", data: lines.best, symbol: "none", lineStyle: { width: 2.5 }, color: colour("--series-3") });
  if (lines.bound.length) found.push({ type: "line", name: "Bound so far", data: lines.bound, symbol: "none", lineStyle: { width: 2 }, color: colour("--series-4") });
  if (marks && marks.rule !== null) found.push(flat("Best rule", marks.rule, colour("--series-2"), x));
  if (marks && marks.bound !== null) found.push(flat("Lower bound", marks.bound, colour("--series-4"), x));
  return found;
}

/** `lines`: {batches, validated, best, bound}, each [[iteration, cost a stage], …]; `marks`: see lib/yardsticks.js; `rule(name)` knows rules by their titles. */
export function CurveChart({ lines, marks, tick, rule = words }) {
  const [whole, setWhole] = useState(false);
  const iterations = Object.values(lines).flat().map(([x]) => x);
  if (!iterations.length) return html`<p class="soft">Nothing has been measured yet: the curve begins with the first iterations.</p>`;
  const x = [Math.min(...iterations), Math.max(...iterations)];
  const top = ceiling(lines, marks);
  const option = ({ base, axis }) => ({
    tooltip: base.tooltip,
    grid: { ...base.grid, bottom: 30 },
    xAxis: { type: "value", name: "Iteration", nameLocation: "middle", nameGap: 26, min: x[0], max: x[1] > x[0] ? x[1] : x[0] + 1, ...axis, splitLine: { show: false } },
    yAxis: { type: "value", name: "Cost a stage", scale: true, max: whole ? undefined : top, ...axis, axisLabel: { ...axis.axisLabel, formatter: (v) => number(v, 4) } },
    series: seriesOf(lines, marks, x).map((line) => ({ ...line, clip: true })),
  });
  const rows = [...lines.validated.map(([i, y]) => [i, "Validation", y]), ...lines.best.map(([i, y]) => [i, "Best so far", y]), ...lines.bound.map(([i, y]) => [i, "Bound", y]), ...lines.batches.map(([i, y]) => [i, "Training batch", y])];
  const named = marks && [marks.rule !== null && `best rule: ${inSentence(rule(marks.ruleName))}`, marks.bound !== null && `lower bound: ${words(marks.boundKind).toLowerCase()}`].filter(Boolean).join(", ");
  const caption = marks ? `Lower is better. Dashed is what there is to beat (${named}), from ${marks.from}; training runs on its own scenarios, so it is a yardstick, not a proof.`
    : "Lower is better. No bound and no rule is known for this instance yet: both are measured at the end of this training.";
  return html`<${Drawing} caption=${caption} table=${{ columns: ["Iteration", "What", "Cost a stage"], rows }}>
    ${top !== undefined && html`<div><button class="quiet" aria-pressed=${whole} onClick=${() => setWhole(!whole)}>${whole ? "Leave out the first, highest costs" : "Show the first, highest costs too"}</button></div>`}
    <${Chart} option=${option} keys=${[tick, marks, whole]} height=${340} label="Cost a stage by iteration, with the lower bound and the best classical rule" /><//>`;
}
