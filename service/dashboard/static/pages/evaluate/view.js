// One evaluation: costs with intervals and their spread, differences, components, service, paths over time.
import { html, useMemo, useState } from "../../lib/ui.js";
import { interval, number, percent, words } from "../../lib/format.js";
import { useGet } from "../../lib/load.js";
import { Components, CostHistogram, CostSpread, Differences, ServiceTable } from "../../parts/costs.js";
import { Downloads } from "../../parts/downloads.js";
import { Loaded } from "../../parts/notice.js";
import { Sheet, Stat } from "../../parts/page.js";
import { Paths } from "../../parts/paths.js";

/** A policy's name as it is, a rule's in words. */
export const labelOf = (name) => (name.includes(":") ? name : words(name));

/** The evaluation's policies and rules as the charts take them. */
export const entriesOf = (document) => document.policies.map((entry) => ({ ...entry, label: labelOf(entry.name) }));

const perStage = (entry) => (entry.mean_cost ? entry.mean_cost_per_stage / entry.mean_cost : 1);

export function Evaluation({ of }) {
  const entries = useMemo(() => entriesOf(of.document), [of]);
  const [rival, setRival] = useState(entries[0].name);
  const apart = useMemo(() => differencesTo(rival, entries, of.document.pairs || []), [rival, entries]);
  const rows = apart.map((d) => ({ ...d, mean: d.mean * perStage(entries[0]), ci95: d.ci95.map((v) => v * perStage(entries[0])) }));
  return html`
    <${Sheet} title="Cost"><${Facts} of=${of.document} first=${entries[0]} />
      ${entries.length > 2 && html`<div class="row"><label for="rival-${of.id}">Compare with</label><select id="rival-${of.id}" value=${rival} onChange=${(e) => setRival(e.currentTarget.value)}>${entries.map((e) => html`<option value=${e.name}>${e.label}</option>`)}</select></div>`}
      <${Summary} entries=${entries} rival=${rival} apart=${apart} />
      <div class="columns"><${CostSpread} entries=${entries} bound=${of.document.bound} title="Cost beside each other" />
        ${rows.length > 0 && html`<${Differences} rows=${rows} than=${labelOf(rival)} />`}</div>
      <${Downloads} path=${`/v1/evaluations/${of.id}`} name=${of.id} /><//>
    <${Sheet} title="Cost and service by component"><div class="columns"><${Components} entries=${entries} /><${CostHistogram} entries=${entries.slice(0, 3)} bound=${of.document.bound} /></div>
      <${ServiceTable} entries=${entries} /><//>
    <${Sheet} title="Over time"><${OverTime} id=${of.id} /><//>`;
}

/** What every other policy costs more than one of them, on the same scenarios: [{name, label, mean, ci95, wins}]. */
function differencesTo(rival, entries, pairs) {
  return entries.flatMap(({ name, label }) => {
    const pair = pairs.find((p) => p.policy === rival && p.other === name);
    if (pair) return [{ name, label, mean: pair.mean, ci95: pair.ci95, wins: pair.wins }];
    const turned = pairs.find((p) => p.policy === name && p.other === rival);
    return turned ? [{ name, label, mean: -turned.mean, ci95: [-turned.ci95[1], -turned.ci95[0]], wins: 1 - turned.wins }] : [];
  });
}

function Facts({ of, first }) {
  return html`<div class="row tally">
    <${Stat} label="Scenarios" value=${number(of.scenarios)} note=${of.scenario_set ? `of the set ${of.scenario_set.name || of.scenario_set.id}` : `seed ${of.scenario_seed}`} />
    ${of.bound ? html`<${Stat} label=${of.bound.exact ? "Optimum a stage" : "Lower bound a stage"} value=${number(of.bound.value_per_stage)} note=${words(of.bound.kind)} />`
      : html`<${Stat} label="Lower bound" value="none" note=${of.bound_note} />`}
    ${typeof of.gap === "number" && html`<${Stat} label=${of.bound?.exact ? "Above the optimum" : "Above the bound, at most"} value=${of.gap < 0 ? "within chance" : percent(of.gap)} note=${first.label} />`}
  </div>`;
}

function Summary({ entries, rival, apart }) {
  const to = new Map(apart.map((d) => [d.name, d]));
  return html`<div class="scroll figures" tabindex="0" role="region" aria-label="Costs"><table>
    <thead><tr><th>Policy</th><th class="number">Mean cost of a scenario</th><th class="number">A stage</th><th class="number">Costs more than ${labelOf(rival)}</th></tr></thead>
    <tbody>${entries.map((e) => html`<tr key=${e.name}><td>${e.label}</td><td class="number">${interval(e.mean_cost, e.ci95)}</td><td class="number">${number(e.mean_cost_per_stage)}</td>
      <td class="number">${to.has(e.name) ? interval(to.get(e.name).mean, to.get(e.name).ci95) : "–"}</td></tr>`)}</tbody>
  </table></div>`;
}

function OverTime({ id }) {
  const paths = useGet(`/v1/evaluations/${id}/paths`);
  return html`<${Loaded} of=${paths} what="the paths">${({ paths: found }) => html`<${Paths} of=${found} label=${labelOf} />`}<//>`;
}
