// What policies do over time: quantile ribbons of every quantity, and single scenarios' paths over them.
import { html, useMemo, useState } from "../lib/ui.js";
import { colour } from "../lib/theme.js";
import { number, words } from "../lib/format.js";
import { Chart, Drawing } from "./chart.js";

const MOST_LINES = 30;

/** A band between two quantiles: an unseen line and the difference stacked on it. */
function band(name, low, high, i, opacity, tint) {
  const shade = { color: tint, opacity };
  const hidden = { type: "line", name, itemStyle: shade, color: tint, stack: `band-${i}`, stackStrategy: "all", symbol: "none", lineStyle: { opacity: 0 }, silent: true, tooltip: { show: false } };
  return [{ ...hidden, data: low }, { ...hidden, data: high.map((v, k) => v - low[k]), areaStyle: shade }];
}

function seriesOf(found, spaghetti) {
  const tint = colour("--series-1");
  const lines = spaghetti ? found.samples.slice(0, MOST_LINES).map((path, i) => ({ type: "line", name: `Scenario ${i + 1}`, data: path, symbol: "none", lineStyle: { width: 1, opacity: 0.35 }, color: colour("--series-8"), emphasis: { focus: "series", lineStyle: { width: 3, opacity: 1, color: colour("--series-2") } }, triggerLineEvent: true })) : [];
  return [
    ...band("5–95 %", found.q05, found.q95, 0, 0.18, tint), ...band("25–75 %", found.q25, found.q75, 1, 0.3, tint), ...lines,
    { type: "line", name: "Median", data: found.q50, symbol: "none", lineStyle: { width: 2.5 }, color: tint, z: 5 },
    { type: "line", name: "Mean", data: found.mean, symbol: "none", lineStyle: { width: 1.5, type: "dashed" }, color: colour("--series-2"), z: 5 },
  ];
}

/** `of`: policy → quantity → {q05 … q95, mean, samples?}; `label(policy)` names a policy; with `pair` the first two stand side by side. */
export function Paths({ of, label = words, level = 3, pair = false }) {
  const policies = Object.keys(of);
  const [policy, setPolicy] = useState(policies[0]);
  const [beside, setBeside] = useState(pair ? policies[1] : "");
  const quantities = useMemo(() => Object.keys(of[policy] || {}), [of, policy]);
  const [wanted, setQuantity] = useState("");
  const [spaghetti, setSpaghetti] = useState(false);
  const quantity = quantities.includes(wanted) ? wanted : quantities[0];
  if (!quantity) return html`<p class="soft">No paths were kept.</p>`;
  const shown = [policy, beside].filter((name, i, all) => name && of[name]?.[quantity] && all.indexOf(name) === i);
  const hasSamples = shown.some((name) => of[name][quantity].samples?.length);
  return html`<div class="row">
      <${Pick} id="paths-quantity" label="Quantity" options=${quantities.map((name) => [name, words(name)])} value=${quantity} onChange=${setQuantity} />
      <${Pick} id="paths-policy" label="Of" options=${policies.map((name) => [name, label(name)])} value=${policy} onChange=${setPolicy} />
      ${policies.length > 1 && html`<${Pick} id="paths-beside" label="Beside" options=${[["", "nothing"], ...policies.filter((name) => name !== policy).map((name) => [name, label(name)])]} value=${beside} onChange=${setBeside} />`}
      ${hasSamples && html`<label><input type="checkbox" checked=${spaghetti} onChange=${(e) => setSpaghetti(e.currentTarget.checked)} /> Single scenarios too</label>`}
    </div>
    <div class="columns">${shown.map((name) => html`<${Ribbon} key=${name} found=${of[name][quantity]} all=${shown.map((n) => of[n][quantity])} title=${`${words(quantity)}: ${label(name)}`} spaghetti=${spaghetti && of[name][quantity].samples?.length > 0} level=${level} />`)}</div>`;
}

const Pick = ({ id, label, options, value, onChange }) => html`<label for=${id}>${label}</label><select id=${id} value=${value} onChange=${(e) => onChange(e.currentTarget.value)}>${options.map(([key, text]) => html`<option value=${key}>${text}</option>`)}</select>`;

function Ribbon({ found, all, title, spaghetti, level }) {
  const x = found.mean.map((_, stage) => String(stage));
  const values = all.flatMap((one) => [...one.q05, ...one.q95, ...(spaghetti ? (one.samples || []).flat() : [])]);
  const [low, high] = [values.reduce((a, b) => Math.min(a, b), Infinity), values.reduce((a, b) => Math.max(a, b), -Infinity)];
  const margin = 0.04 * (high - low || 1);
  const option = ({ base, axis }) => ({
    legend: { ...base.legend, data: [{ name: "5–95 %", icon: "rect" }, { name: "25–75 %", icon: "rect" }, "Median", "Mean"] }, grid: { ...base.grid, bottom: 30 },
    tooltip: { ...base.tooltip, trigger: "axis", formatter: (points) => (points.length ? tip(found, points[0].dataIndex) : "") },
    xAxis: { type: "category", data: x, name: "Stage", nameLocation: "middle", nameGap: 26, boundaryGap: false, ...axis, splitLine: { show: false } },
    yAxis: { type: "value", min: low >= 0 && low - margin < 0 ? 0 : low - margin, max: high + margin, ...axis, axisLabel: { ...axis.axisLabel, showMinLabel: false, showMaxLabel: false, formatter: (v) => number(v, 4) } },
    dataZoom: x.length > 150 ? [{ type: "inside" }] : [], series: seriesOf(found, spaghetti),
  });
  const rows = x.map((stage, k) => [stage, found.q05[k], found.q25[k], found.q50[k], found.q75[k], found.q95[k], found.mean[k]]);
  const caption = spaghetti ? "Grey lines are single scenarios, the same ones for every policy; the bands hold half and nine in ten of all." : "The inner band holds half of all scenarios, the outer one nine in ten.";
  return html`<${Drawing} title=${title} level=${level} caption=${caption} table=${{ columns: ["Stage", "5 %", "25 %", "Median", "75 %", "95 %", "Mean"], rows }}>
    <${Chart} option=${option} keys=${[found, spaghetti, low, high]} label=${`${title}: quantiles by stage`} /><//>`;
}

const tip = (found, k) => `stage ${k}<br>nine in ten: ${number(found.q05[k])} to ${number(found.q95[k])}<br>half: ${number(found.q25[k])} to ${number(found.q75[k])}<br>median ${number(found.q50[k])}, mean ${number(found.mean[k])}`;
