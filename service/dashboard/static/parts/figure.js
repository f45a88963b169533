// The API's figures, whatever the problem: network, matrix, series, schedule.
import { html, useState } from "../lib/ui.js";
import { number } from "../lib/format.js";
import { colour, palette } from "../lib/theme.js";
import { Chart, Drawing } from "./chart.js";
import { NetworkMap, isWideNetwork } from "./network.js";

const KINDS = { network: NetworkMap, matrix: Matrix, series: Series, schedule: Schedule };

/** One figure document of the API. */
export function Figure({ of, level = 3 }) {
  const Kind = KINDS[of.kind];
  if (!Kind) return html`<p class="notice warn">This dashboard cannot draw a figure of kind ${of.kind}.</p>`;
  return html`<${Kind} of=${of} level=${level} />`;
}

/** Several figures, two abreast where there is room; those of one group one at a time. */
export function Figures({ of, level }) {
  const groups = new Map();
  for (const figure of of) {
    const key = figure.group ?? figure.key;
    groups.set(key, [...(groups.get(key) || []), figure]);
  }
  const sheets = [...groups.values()];
  const draw = (members) => html`<section class="sheet" key=${members[0].key}><${Member} of=${members} level=${level} /></section>`;
  return html`<div class="stack figures">${sheets.filter((members) => members.some(isWide)).map(draw)}
    <div class="columns">${packed(sheets.filter((members) => !members.some(isWide))).map((side) => html`<div class="stack figures">${side.map(draw)}</div>`)}</div></div>`;
}

const WIDE_HEADINGS = 60; // letters over a matrix that half a page cannot show
const isWide = (of) => (of.kind === "network" && isWideNetwork(of)) || (of.kind === "matrix" && of.columns.join("").length > WIDE_HEADINGS);

const CHART_HEIGHT = 460;
const heightOf = ([first, ...others]) => (first.kind === "matrix" ? 150 + 36 * first.rows.length : CHART_HEIGHT) + (others.length ? 46 : 0);

/** Sheets in two columns of about the same height, without holes. */
function packed(sheets) {
  const sides = [{ sheets: [], height: 0 }, { sheets: [], height: 0 }];
  for (const members of sheets) {
    const side = sides[0].height <= sides[1].height ? sides[0] : sides[1];
    side.sheets.push(members);
    side.height += heightOf(members);
  }
  return sides.map((side) => side.sheets).filter((side) => side.length);
}

/** One figure of a group, with a picker where there are several. */
function Member({ of, level }) {
  const [key, setKey] = useState(of[0].key);
  const shown = of.find((f) => f.key === key) || of[0];
  const id = `figure-${of[0].key}`;
  return html`${of.length > 1 && html`<div class="row"><label for=${id}>Show</label><select id=${id} value=${shown.key} onChange=${(e) => setKey(e.currentTarget.value)}>
    ${of.map((f) => html`<option value=${f.key}>${f.title}</option>`)}</select></div>`}
    <${Figure} key=${shown.key} of=${shown} level=${level} />`;
}

const escapeHtml = (text) => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

function Matrix({ of, level }) {
  return html`<${Drawing} title=${of.title} caption=${of.caption} level=${level}>
    <div class="scroll" tabindex="0" role="region" aria-label=${of.title}><table class="matrix">
      <thead><tr><th>${of.unit || ""}</th>${of.columns.map((c) => html`<th scope="col">${c}</th>`)}</tr></thead>
      <tbody>${of.rows.map((row, i) => html`<tr><th scope="row">${row}</th>${of.values[i].map((v) => html`<td>${v === null ? html`<span class="soft">·</span>` : number(v)}</td>`)}</tr>`)}</tbody>
    </table></div><//>`;
}

function Series({ of, level }) {
  const bands = of.bands || [];
  const numeric = typeof of.x[0] === "number";
  const option = ({ base, axis }) => ({
    legend: { ...base.legend, data: [...of.lines.map((l) => l.name), ...bands.map((b) => b.name)] },
    xAxis: { type: "category", data: of.x.map(String), name: of.x_title, nameLocation: "middle", nameGap: 28, boundaryGap: of.lines.some((l) => l.mark === "bar"), ...axis, axisLabel: { ...axis.axisLabel, hideOverlap: true, alignMinLabel: numeric ? "center" : "left" }, splitLine: { show: false } },
    yAxis: { type: "value", name: of.unit, nameTextStyle: { ...axis.nameTextStyle, align: "left" }, scale: !of.lines.some((l) => l.mark === "bar" || l.mark === "area"), axisLine: axis.axisLine, splitLine: axis.splitLine, axisLabel: { ...axis.axisLabel, formatter: (v) => number(v, 5) } },
    grid: { ...base.grid, bottom: 32 },
    dataZoom: of.x.length > 120 ? [{ type: "inside" }] : [],
    series: [...bands.flatMap((band, i) => ribbon(band, i)), ...of.lines.map((line, i) => drawn(line, i, of.x.length))],
  });
  const columns = [of.x_title || "", ...of.lines.map((l) => l.name), ...bands.flatMap((b) => [`${b.name} from`, `${b.name} to`])];
  const rows = of.x.map((x, i) => [numeric ? String(x) : x, ...of.lines.map((l) => l.values[i]), ...bands.flatMap((b) => [b.lower[i], b.upper[i]])]);
  return html`<${Drawing} title=${of.title} caption=${of.caption} level=${level} table=${{ columns, rows }}>
    <${Chart} option=${option} keys=${[of]} label=${`${of.title}${of.unit ? ` in ${of.unit}` : ""}`} /><//>`;
}

/** A band between two lines: an unseen line below, and an area of the difference stacked on it. */
function ribbon(band, i) {
  const shade = { color: colour("--series-8"), opacity: 0.18 + 0.14 * i };
  const lower = { type: "line", name: band.name, data: band.lower, stack: `band-${i}`, stackStrategy: "all", lineStyle: { opacity: 0 }, itemStyle: shade, symbol: "none", tooltip: { show: false }, silent: true };
  const width = band.upper.map((u, k) => (u === null || band.lower[k] === null ? null : u - band.lower[k]));
  return [lower, { ...lower, data: width, areaStyle: shade }];
}

function drawn(line, i, length) {
  const shade = line.group === "past" ? colour("--text") : palette()[i % 8];
  const shared = { name: line.name, data: line.values, stack: line.stack || undefined, color: shade, itemStyle: { color: shade } };
  if (line.mark === "bar") return { ...shared, type: "bar", barMaxWidth: 28 };
  if (line.mark === "point") return { ...shared, type: "scatter", symbolSize: 7 };
  const area = line.mark === "area" ? { areaStyle: { opacity: line.stack ? 0.75 : 0.25 }, lineStyle: { width: line.stack ? 0.5 : 2, color: shade } } : {};
  return { ...shared, type: "line", symbol: length > 60 || line.stack ? "none" : "circle", symbolSize: 4, lineStyle: { width: 2, color: shade }, ...area };
}

function Schedule({ of, level }) {
  const groups = [...new Set(of.bars.map((b) => b.group ?? b.label))];
  const option = ({ base, axis }) => ({
    legend: { ...base.legend, data: groups },
    tooltip: { ...base.tooltip, trigger: "item" },
    grid: { ...base.grid, bottom: 32 },
    xAxis: { type: "value", name: of.x_title, nameLocation: "middle", nameGap: 28, minInterval: 1, ...axis },
    yAxis: { type: "category", data: of.rows, inverse: true, ...axis },
    series: groups.map((group) => ({
      type: "custom", name: group, encode: { x: [0, 1], y: 2 },
      tooltip: { formatter: ({ data }) => `<b>${escapeHtml(data.bar.label)}</b><br>${number(data.bar.from)} – ${number(data.bar.to)}${data.bar.amount === null || data.bar.amount === undefined ? "" : `<br>${number(data.bar.amount)} ${escapeHtml(data.bar.unit || "")}`}` },
      data: of.bars.filter((b) => (b.group ?? b.label) === group).map((bar) => ({ value: [bar.from, bar.to, of.rows.indexOf(bar.row)], bar })),
      renderItem: (params, api) => {
        const [x0, y] = api.coord([api.value(0), api.value(2)]);
        const [x1] = api.coord([api.value(1), api.value(2)]);
        const height = Math.min(30, api.size([0, 1])[1] * 0.7);
        const width = Math.max(2, x1 - x0 - 1);
        const bars = of.bars.filter((b) => (b.group ?? b.label) === group);
        return { type: "rect", shape: { x: x0, y: y - height / 2, width, height, r: 3 }, style: { fill: api.visual("color") },
          textContent: { style: { text: bars[params.dataIndex].label, fill: colour("--sheet"), fontSize: 11, fontWeight: 600, width: width - 6, overflow: "truncate" } }, textConfig: { position: "inside" } };
      },
    })),
  });
  const rows = of.bars.map((b) => [b.row, b.label, b.from, b.to, b.amount ?? null, b.unit ?? ""]);
  return html`<${Drawing} title=${of.title} caption=${of.caption} level=${level} table=${{ columns: ["Resource", "What", "From", "To", "Amount", "Unit"], rows }}>
    <${Chart} option=${option} keys=${[of]} height=${Math.max(200, 46 * of.rows.length + 110)} label=${`${of.title}: ${of.bars.length} bars on ${of.rows.length} rows`} /><//>`;
}
