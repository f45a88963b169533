// The certificate as a picture: cost beside the classical rules and the bound, differences, components, service, places.
import { html, useMemo } from "../../lib/ui.js";
import { inSentence, number, percent, words } from "../../lib/format.js";
import { useRules } from "../../lib/titles.js";
import { noteOf } from "../../lib/work.js";
import { Sheet, Stat } from "../../parts/page.js";
import { Components, CostHistogram, CostSpread, Differences, ServiceTable } from "../../parts/costs.js";
import { Grid, numeric } from "../../parts/grid.js";

/** Everything that was judged on the same scenarios: the policy first, then the classical rules, best first. */
export const entriesOf = (card, rules = words) => [{ ...card.certificate.policy, label: card.name }, ...(card.certificate.rules || []).map((rule) => ({ ...rule, label: rules(rule.name) }))];

const perStage = (certificate) => {
  const { mean_cost: all, mean_cost_per_stage: one } = certificate.policy || {};
  return all && one !== undefined ? one / all : 1;
};

export function Proof({ card }) {
  const { certificate } = card;
  const title = useRules(card.problem);
  const entries = useMemo(() => entriesOf(card, title), [card, title]);
  const scale = perStage(certificate);
  const rows = useMemo(() => (certificate.rules || []).filter((rule) => rule.paired_difference).map((rule) => ({
    label: title(rule.name), mean: rule.paired_difference.mean * scale, ci95: rule.paired_difference.ci95.map((v) => v * scale), wins: rule.paired_difference.wins,
  })), [card, title]);
  return html`
    <${Sheet} title="What it is worth"><${Headline} certificate=${certificate} title=${title} />
      <div class="columns"><${CostSpread} entries=${entries} bound=${certificate.bound} title="Cost beside rules and bound" />
        ${rows.length > 0 && html`<${Differences} rows=${rows} than=${card.name} />`}</div>
      ${!rows.length && html`<p class="soft">It has not been compared with classical rules${card.recommended_for_use ? ": there are none for this instance." : "."}</p>`}<//>
    <${Sheet} title="Cost and service by component"><div class="columns"><${Components} entries=${entries} /><${CostHistogram} entries=${entries.slice(0, 3)} bound=${certificate.bound} /></div>
      <${ServiceTable} entries=${entries} />
      ${certificate.policy?.places && html`<${Places} places=${certificate.policy.places} />`}<//>
    ${certificate.bounds?.length > 0 && html`<${Sheet} title="Lower bounds"><${Bounds} certificate=${certificate} /><//>`}`;
}

/** "0.72 less, 95 % interval 0.66 to 0.78": what a rule costs beside the policy. */
function apart({ mean, ci95 }, scale) {
  const sign = mean < 0 ? -1 : 1;
  const [low, high] = ci95.map((v) => sign * v * scale).sort((a, b) => a - b);
  return `${number(Math.abs(mean) * scale, 3)} ${mean < 0 ? "less" : "more"}, 95 % interval ${number(low, 3)} to ${number(high, 3)}`;
}

function Headline({ certificate, title }) {
  const own = certificate.policy || {};
  const scale = perStage(certificate);
  const best = certificate.rules?.[0];
  return html`<div class="row tally">
    <${Stat} label="Mean cost a stage" value=${number(own.mean_cost_per_stage ?? own.mean_cost)} note=${own.ci95 ? `95 % interval ${number(own.ci95[0] * scale)} to ${number(own.ci95[1] * scale)}` : ""} />
    ${best && html`<${Stat} label=${`Best rule: ${inSentence(title(best.name))}`} value=${number(best.mean_cost_per_stage)} note=${best.paired_difference ? apart(best.paired_difference, scale) : ""} />`}
    ${certificate.bound ? html`<${Stat} label=${certificate.bound.exact ? "Optimum" : "Lower bound"} value=${number(certificate.bound.value_per_stage)} note=${(certificate.bound.exact && certificate.bound.details?.method) || words(certificate.bound.kind)} />` : html`<${Stat} label="Lower bound" value="none" note=${noteOf(certificate.bound_note) || "no method gave one"} />`}
    ${certificate.gap !== null && certificate.gap !== undefined && html`<${Stat} label=${certificate.bound?.exact ? "Above the optimum" : "Above the bound, at most"} value=${percent(certificate.gap)} note=${certificate.gap_ci95 ? `95 % interval ${percent(certificate.gap_ci95[0])} to ${percent(certificate.gap_ci95[1])}` : ""} />`}
    <${Stat} label="Scenarios" value=${number(certificate.scenarios)} note="that training never saw" /></div>`;
}

function Places({ places }) {
  const rows = useMemo(() => Object.entries(places).map(([id, figures]) => ({ id, ...figures })), [places]);
  const columns = useMemo(() => [{ field: "id", headerName: "Place", pinned: "left", minWidth: 110 }, ...[...new Set(rows.flatMap((row) => Object.keys(row)))].filter((key) => key !== "id").map((field) => numeric({ field, headerName: words(field), minWidth: 120 }))], [rows]);
  return html`<details><summary>By place (${number(rows.length)})</summary><p class="small soft">Costs are totals a scenario; figures that begin with “mean” are a stage.</p>
    <${Grid} label="Figures by place" columns=${columns} rows=${rows} height=${Math.min(420, 60 + 42 * rows.length)} /></details>`;
}

const Bounds = ({ certificate }) => html`<div class="scroll-x" tabindex="0" role="region" aria-label="Lower bounds"><table>
  <thead><tr><th>Bound</th><th class="number">A stage</th><th class="number">Standard error</th><th class="number">Scenarios</th><th>How</th></tr></thead>
  <tbody>${certificate.bounds.map((bound) => html`<tr><td>${words(bound.kind)}${bound.exact ? html` <span class="tag good">the optimum</span>` : ""}</td><td class="number">${number(bound.value_per_stage)}</td>
    <td class="number">${number(bound.standard_error * perStage(certificate), 2)}</td><td class="number">${number(bound.scenarios)}</td><td class="soft">${bound.note || bound.details?.method || ""}${bound.details?.meaning ? ` (${bound.details.meaning})` : ""}</td></tr>`)}</tbody></table></div>
  ${certificate.bound_note && html`<p class="small soft">${noteOf(certificate.bound_note)}</p>`}`;
