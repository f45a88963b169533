// Both instances beside each other: what was changed, and what it costs.
import { html, useMemo } from "../../lib/ui.js";
import { saveBlob } from "../../lib/api.js";
import { csv } from "../../lib/csv.js";
import { interval, number, percent } from "../../lib/format.js";
import { useGet } from "../../lib/load.js";
import { differing } from "../../lib/numbers.js";
import { Components, CostSpread } from "../../parts/costs.js";
import { Loaded, Problem } from "../../parts/notice.js";
import { Page, Sheet } from "../../parts/page.js";
import { Paths } from "../../parts/paths.js";
import { useOutcomes } from "../evaluate/run.js";
import { entriesOf, labelOf } from "../evaluate/view.js";

export default function Result({ query }) {
  const ids = (query.jobs || "").split(",").filter(Boolean);
  const { watch, outcomes, error } = useOutcomes(ids);
  return html`<${Page} title="What if: both sides" crumbs=${[["Evaluate", "#/evaluate"], ["What if", "#/what-if"]]} lead="It goes on while this page is closed; keep the address to come back.">
    <${Sheet} title="Jobs">${watch}<${Problem} error=${error} /><//>
    ${outcomes.length === 2 && html`<${Both} outcomes=${outcomes} />`}
  <//>`;
}

const WHICH = ["as it is", "what if"];

function Both({ outcomes: [base, variant] }) {
  const pairs = useMemo(() => pairsOf(base.evaluation.document, variant.evaluation.document), [base, variant]);
  const entries = useMemo(() => pairs.flatMap((p) => [p.one, p.two].map((e, i) => ({ ...e, label: `${p.label}, ${WHICH[i]}` }))), [pairs]);
  return html`
    <${Sheet} title="What was changed"><${Changed} one=${base.instance.document} two=${variant.instance.document} /><//>
    <${Sheet} title="What it costs"><${Costs} pairs=${pairs} />
      <div class="columns"><${CostSpread} entries=${entries} title="Cost as it is and what if" /><${Components} entries=${entries} /></div><//>
    <${Sheet} title="Over time"><${OverTime} base=${base.evaluation.id} variant=${variant.evaluation.id} /><//>`;
}

/** Entries of both evaluations by policy, with the difference of their means. */
function pairsOf(one, two) {
  const others = new Map(entriesOf(two).map((e) => [e.label, e]));
  return entriesOf(one).filter((e) => others.has(e.label)).map((e) => {
    const other = others.get(e.label);
    const difference = other.mean_cost - e.mean_cost;
    const error = 1.96 * Math.hypot(e.standard_error, other.standard_error);
    return { label: e.label, one: e, two: other, difference, ci95: [difference - error, difference + error], share: e.mean_cost ? difference / Math.abs(e.mean_cost) : null };
  });
}

function Changed({ one, two }) {
  const rows = useMemo(() => differing(one, two), [one, two]);
  if (!rows.length) return html`<p class="soft">The two instances have the same numbers.</p>`;
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Changed numbers"><table>
    <thead><tr><th>Where</th><th>What</th><th class="number">As it is</th><th class="number">What if</th></tr></thead>
    <tbody>${rows.slice(0, 200).map((row) => html`<tr><td>${row.where || "the whole"}</td><td>${row.what}${row.count ? ` (mean of ${row.count})` : ""}</td><td class="number">${number(row.value, 6)}</td><td class="number"><b>${number(row.other, 6)}</b></td></tr>`)}</tbody>
  </table></div>`;
}

function Costs({ pairs }) {
  const save = () => saveBlob(csv([["Policy", "As it is", "What if", "Difference", "95 % from", "95 % to"], ...pairs.map((p) => [p.label, p.one.mean_cost, p.two.mean_cost, p.difference, ...p.ci95])]), "what-if.csv");
  return html`<div class="scroll figures" tabindex="0" role="region" aria-label="Costs of both"><table>
      <thead><tr><th>Policy</th><th class="number">As it is</th><th class="number">What if</th><th class="number">Difference</th><th class="number">In per cent</th></tr></thead>
      <tbody>${pairs.map((p) => html`<tr><td>${p.label}</td><td class="number">${interval(p.one.mean_cost, p.one.ci95)}</td><td class="number">${interval(p.two.mean_cost, p.two.ci95)}</td><td class="number"><b>${interval(p.difference, p.ci95)}</b></td>
        <td class="number">${percent(p.share)}</td></tr>`)}</tbody>
    </table></div>
    <p class="small soft">Total cost of a scenario, with 95 % intervals. Both sides use the same seed; the interval of the difference does not count on that and is rather too wide. Classical rules are tuned to each side.</p>
    <div class="row"><button onClick=${save}>Save as CSV</button></div>`;
}

function OverTime({ base, variant }) {
  const one = useGet(`/v1/evaluations/${base}/paths`);
  const two = useGet(`/v1/evaluations/${variant}/paths`);
  return html`<${Loaded} of=${one} what="the paths">${({ paths: a }) => html`<${Loaded} of=${two} what="the paths">${({ paths: b }) => html`<${Paths} of=${merged(a, b)} label=${(name) => name} pair=${true} />`}<//>`}<//>`;
}

const merged = (a, b) => Object.fromEntries(Object.keys(a).flatMap((name) => [[`${labelOf(name)}, ${WHICH[0]}`, a[name]], [`${labelOf(name)}, ${WHICH[1]}`, b[name]]]).filter(([, paths]) => paths));
