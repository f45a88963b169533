// Costs of policies beside each other: how they spread, what separates them, what they are made of.
import { html } from "../lib/ui.js";
import { colour, palette } from "../lib/theme.js";
import { number, percent, words } from "../lib/format.js";
import { Chart, Drawing } from "./chart.js";

const WHISKERS = ["q05", "q25", "q50", "q75", "q95"];
const BAR = 46; // px of a row
const ROWS = { left: 150, right: 40, top: 48, bottom: 52, containLabel: false }; // room for the names of rows

/** Money a stage from money in total, as the entry's own mean has it. */
const scaleOf = (entry) => (entry.mean_cost ? (entry.mean_cost_per_stage ?? entry.mean_cost) / entry.mean_cost : 1);
const meanOf = (entry) => entry.mean_cost_per_stage ?? entry.mean_cost;
const heightOf = (rows) => Math.max(170, BAR * rows + 110);

function levels(entry) {
  const quantiles = entry.distribution?.quantiles;
  return quantiles ? WHISKERS.map((q) => quantiles[q] * scaleOf(entry)) : null;
}

/** A horizontal line between two values of one row, with upright ends. */
const span = (name, rows, tint, width) => ({
  type: "custom", name, encode: { x: [0, 1], y: 2 }, data: rows, z: 4, itemStyle: { color: tint }, tooltip: { show: false },
  renderItem: (params, api) => {
    const [x0, y] = api.coord([api.value(0), api.value(2)]);
    const [x1] = api.coord([api.value(1), api.value(2)]);
    const style = { stroke: api.visual("color"), lineWidth: width };
    const end = (x) => ({ type: "line", shape: { x1: x, x2: x, y1: y - 5, y2: y + 5 }, style });
    return { type: "group", children: [{ type: "line", shape: { x1: x0, x2: x1, y1: y, y2: y }, style }, end(x0), end(x1)] };
  },
});

const upright = (value, name, tint, position = "start") => ({
  silent: true, symbol: "none", label: { show: true, formatter: name, color: tint, position }, lineStyle: { color: tint, type: "dashed", width: 2 }, data: [{ xAxis: value }],
});

const costAxis = (axis, name) => ({ type: "value", name, nameLocation: "middle", nameGap: 28, scale: true, ...axis, axisLabel: { ...axis.axisLabel, showMinLabel: false, showMaxLabel: false, hideOverlap: true, formatter: (v) => number(v, 4) } });
const rowAxis = (axis, labels) => ({ type: "category", data: labels, inverse: true, ...axis, splitLine: { show: false }, axisLabel: { ...axis.axisLabel, color: colour("--text"), width: 138, lineHeight: 15, overflow: "break" } });

/** The cost of every policy: where nine in ten scenarios lie, half of them, the median, the mean with its interval; the bound. */
export function CostSpread({ entries, bound, title = "Cost", level }) {
  const labels = entries.map((e) => e.label);
  const boxes = entries.map(levels);
  const means = entries.map((e, i) => ({ value: [meanOf(e), i], entry: e }));
  const intervals = entries.map((e, i) => (e.ci95 ? [e.ci95[0] * scaleOf(e), e.ci95[1] * scaleOf(e), i] : null)).filter(Boolean);
  const hasBoxes = boxes.some(Boolean);
  const ends = [...boxes.flatMap((box) => box || []), ...entries.map(meanOf), ...intervals.flatMap(([low, high]) => [low, high]), ...(bound ? [bound.value_per_stage] : [])];
  const margin = 0.05 * (Math.max(...ends) - Math.min(...ends) || 1);
  const option = ({ base, axis }) => ({
    legend: { ...base.legend, data: [...(hasBoxes ? ["Scenarios"] : []), "Mean", "95 % interval of the mean"] },
    tooltip: { ...base.tooltip, trigger: "item", formatter: ({ dataIndex, seriesName }) => (seriesName === "Scenarios" || seriesName === "Mean" ? tip(entries[dataIndex]) : "") },
    grid: { ...ROWS, top: 56 }, xAxis: { ...costAxis(axis, "Cost a stage"), min: Math.min(...ends) - margin, max: Math.max(...ends) + margin }, yAxis: rowAxis(axis, labels),
    series: [
      ...(hasBoxes ? [{ type: "boxplot", name: "Scenarios", layout: "vertical", boxWidth: [10, 22], itemStyle: { color: colour("--accent-soft"), borderColor: colour("--series-1"), borderWidth: 1.5 }, data: boxes.map((box) => box || ["-", "-", "-", "-", "-"]) }] : []),
      { type: "scatter", name: "Mean", symbol: "diamond", symbolSize: 13, z: 5, itemStyle: { color: colour("--series-2") }, data: means, ...(bound && { markLine: upright(bound.value_per_stage, "bound", colour("--series-4")) }) },
      span("95 % interval of the mean", intervals, colour("--series-2"), 2),
    ],
  });
  const rows = entries.map((e, i) => [e.label, meanOf(e), ...(e.ci95 || [null, null]).map((v) => (v === null ? null : v * scaleOf(e))), ...(boxes[i] || [null, null, null, null, null])]);
  if (bound) rows.push([`Lower bound (${words(bound.kind).toLowerCase()})`, bound.value_per_stage, null, null, null, null, null, null, null]);
  const caption = `${hasBoxes ? "Boxes hold half of all scenarios, whiskers nine in ten; the" : "The"} diamond is the mean with its 95 % interval.${bound ? " No policy can have a mean left of the dashed bound." : ""}`;
  return html`<${Drawing} title=${title} level=${level} caption=${caption} table=${{ columns: ["Policy", "Mean cost a stage", "95 % from", "95 % to", "5 %", "25 %", "Median", "75 %", "95 %"], rows }}>
    <${Chart} option=${option} keys=${[entries, bound]} height=${heightOf(entries.length)} label=${`Cost a stage of ${labels.join(", ")}${bound ? " beside the lower bound" : ""}`} /><//>`;
}

const escape = (text) => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
const tip = (entry) => {
  const box = levels(entry);
  return `<b>${escape(entry.label)}</b><br>mean ${number(meanOf(entry))}${box ? `<br>half of all scenarios: ${number(box[1])} to ${number(box[3])}<br>nine in ten: ${number(box[0])} to ${number(box[4])}` : ""}`;
};

/** How often a scenario costs how much, for a few policies on the same bins; nothing where that was not kept. */
export function CostHistogram({ entries, bound, title = "How scenarios' costs spread", level }) {
  const kept = entries.filter((e) => e.distribution?.histogram);
  if (!kept.length) return null;
  const { edges } = kept[0].distribution.histogram;
  const scale = scaleOf(kept[0]);
  const middle = edges.slice(1).map((edge, i) => (scale * (edge + edges[i])) / 2);
  const shares = kept.map((e) => { const { counts } = e.distribution.histogram; const all = counts.reduce((a, b) => a + b, 0) || 1; return counts.map((c) => (100 * c) / all); });
  const option = ({ base, axis }) => ({
    tooltip: base.tooltip, grid: { ...base.grid, top: 74, bottom: 34 }, xAxis: { ...costAxis(axis, "Cost a stage of a scenario"), min: scale * edges[0], max: scale * edges.at(-1) },
    yAxis: { type: "value", name: "% of scenarios", nameGap: 26, ...axis, nameTextStyle: { ...axis.nameTextStyle, align: "left" } },
    series: kept.map((e, i) => ({
      type: "line", name: e.label, step: "middle", symbol: "none", areaStyle: { opacity: 0.14 }, lineStyle: { width: 2 }, data: middle.map((x, k) => [x, shares[i][k]]),
      ...(i === 0 && bound && bound.value_per_stage >= scale * edges[0] ? { markLine: upright(bound.value_per_stage, "bound", colour("--series-4"), "end") } : {}),
    })),
  });
  const rows = middle.map((x, k) => [x, ...shares.map((s) => s[k])]);
  return html`<${Drawing} title=${title} level=${level} caption="Further left is cheaper. The outermost bins hold all that lies beyond them." table=${{ columns: ["Cost a stage", ...kept.map((e) => `${e.label} [%]`)], rows }}>
    <${Chart} option=${option} keys=${[entries, bound]} height=${300} label=${`Histogram of costs a stage of ${kept.map((e) => e.label).join(", ")}`} /><//>`;
}

const FINDINGS = { more: "surely dearer", less: "surely cheaper", chance: "within chance" };
const finding = ([low, high]) => (low > 0 ? "more" : high < 0 ? "less" : "chance");

/** Paired differences: `rows` [{label, mean, ci95, wins}] say what the row costs more than `than`, in the unit of `unit`. */
export function Differences({ rows, than, title = "Differences, scenario by scenario", unit = "Cost more a stage", level }) {
  if (!rows.length) return null;
  const tints = { more: colour("--good"), less: colour("--bad"), chance: colour("--series-8") };
  const groups = Object.keys(FINDINGS).filter((key) => rows.some((row) => finding(row.ci95) === key));
  const option = ({ base, axis }) => ({
    legend: { ...base.legend, data: groups.map((key) => FINDINGS[key]) },
    tooltip: { ...base.tooltip, trigger: "item", formatter: ({ data }) => (data.row ? `<b>${escape(data.row.label)}</b><br>${number(data.row.mean)} more than ${escape(than)} [${number(data.row.ci95[0])}, ${number(data.row.ci95[1])}]<br>${escape(than)} is cheaper in ${percent(data.row.wins, 0)} of scenarios` : "") },
    grid: { ...ROWS, right: 60, top: 44 }, xAxis: { ...costAxis(axis, `${unit} than ${than}`), scale: false, axisLabel: { ...axis.axisLabel, formatter: (v) => number(v, 3) } }, yAxis: rowAxis(axis, rows.map((row) => row.label)),
    series: groups.flatMap((key) => {
      const mine = rows.map((row, i) => ({ row, i })).filter(({ row }) => finding(row.ci95) === key);
      return [
        { type: "scatter", name: FINDINGS[key], symbolSize: 10, itemStyle: { color: tints[key] }, data: mine.map(({ row, i }) => ({ value: [row.mean, i], row })), label: { show: true, position: "top", color: colour("--soft"), formatter: ({ data }) => `${percent(data.row.wins, 0)} wins` } },
        { ...span(FINDINGS[key], mine.map(({ row, i }) => [...row.ci95, i]), tints[key], 3) },
      ];
    }),
  });
  const table = { columns: ["Compared with", "Costs more by", "95 % from", "95 % to", `Scenarios in which ${than} is cheaper [%]`, "Finding"], rows: rows.map((row) => [row.label, row.mean, ...row.ci95, 100 * row.wins, FINDINGS[finding(row.ci95)]]) };
  return html`<${Drawing} title=${title} level=${level} table=${table} caption=${`What the others cost more than ${than} on the same scenarios, with 95 % intervals. Right of zero: ${than} is cheaper.`}>
    <${Chart} option=${option} keys=${[rows, than]} height=${heightOf(rows.length)} label=${`Paired differences of ${rows.map((row) => row.label).join(", ")} to ${than}`} /><//>`;
}

/** What the cost is made of, a bar for every policy. */
export function Components({ entries, title = "What the cost is made of", level }) {
  const names = [...new Set(entries.flatMap((e) => Object.keys(e.components || {})))].filter((name) => entries.some((e) => e.components?.[name]));
  if (!names.length) return null;
  const value = (e, name) => (e.components?.[name] ?? 0) * scaleOf(e);
  const option = ({ base, axis }) => ({
    grid: ROWS, xAxis: { ...costAxis(axis, "Cost a stage"), scale: false, axisLabel: { ...axis.axisLabel, hideOverlap: true, formatter: (v) => number(v, 4) } }, yAxis: rowAxis(axis, entries.map((e) => e.label)),
    tooltip: { ...base.tooltip, axisPointer: { type: "shadow" } }, color: palette(),
    series: names.map((name) => ({ type: "bar", name: words(name), stack: "cost", barMaxWidth: 24, data: entries.map((e) => value(e, name)) })),
  });
  const rows = entries.map((e) => [e.label, ...names.map((name) => value(e, name))]);
  return html`<${Drawing} title=${title} level=${level} table=${{ columns: ["Policy", ...names.map(words)], rows }} caption="Mean cost a stage by component.">
    <${Chart} option=${option} keys=${[entries]} height=${heightOf(entries.length)} label=${`Cost components of ${entries.map((e) => e.label).join(", ")}`} /><//>`;
}

/** Service measures, a row for every policy. */
export function ServiceTable({ entries, title = "Service" }) {
  const names = [...new Set(entries.flatMap((e) => Object.keys(e.service || {})))];
  if (!names.length) return null;
  const shown = (v) => (typeof v === "number" && v >= 0 && v <= 1 ? percent(v) : number(v));
  return html`<figure><h3>${title}</h3><div class="scroll-x" tabindex="0" role="region" aria-label=${title}><table>
    <thead><tr><th>Policy</th>${names.map((name) => html`<th class="number">${words(name)}</th>`)}</tr></thead>
    <tbody>${entries.map((e) => html`<tr><td>${e.label}</td>${names.map((name) => html`<td class="number">${shown(e.service?.[name])}</td>`)}</tr>`)}</tbody></table></div></figure>`;
}
