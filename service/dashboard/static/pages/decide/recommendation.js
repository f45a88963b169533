// One recommendation: its lines, what they rest on, and the planner's judgement.
import { html, useMemo, useState } from "../../lib/ui.js";
import { readable } from "../../lib/document.js";
import { ago, number, when, words } from "../../lib/format.js";
import { Tables } from "../../parts/readable.js";
import { Figures } from "../../parts/figure.js";
import { Downloads } from "../../parts/downloads.js";
import { Tag } from "../../parts/notice.js";
import { Sheet } from "../../parts/page.js";
import { Judgement, useOverride } from "./judgement.js";
import { Lines } from "./lines.js";

const ONLY_JSON = [["JSON", "application/json", "json"]];
const Export = ({ record, forms }) => html`<${Downloads} path=${`/v1/recommendations/${record.id}`} name=${record.id} forms=${forms} />`;

/** A kept recommendation (`record`) beside what its policy says of decisions (`wants`: columns, lines_key). */
export function Recommendation({ record, wants, reload }) {
  const [shown, setShown] = useState(0);
  const items = record.response.recommendations || (record.response.decision ? [record.response] : []);
  if (!items.length) return html`<${Sheet} title="Recommendation"><p>${number(record.states)} states were asked at once, as columns; the answer is kept as arrays.</p><${Export} record=${record} forms=${ONLY_JSON} /><//>`;
  const single = items.length === 1;
  return html`
    ${!single && html`<div class="field"><label for="which-state">State shown, of ${items.length}</label>
      <input id="which-state" type="number" min="1" max=${items.length} value=${shown + 1} onChange=${(e) => setShown(Math.min(items.length, Math.max(1, Number(e.currentTarget.value))) - 1)} /></div>`}
    <${One} key=${shown} item=${items[shown]} record=${record} wants=${wants} reload=${reload} single=${single} />`;
}

function One({ item, record, wants, reload, single }) {
  const override = useOverride(record, item, wants);
  const [chosen, setChosen] = useState(null);
  const rest = useMemo(() => readable(item.decision, [wants.lines_key]), [item]);
  const hasRest = rest.facts.length + rest.tables.length + Object.keys(rest.rest).length > 0;
  return html`
    <${Sheet} title="Recommended decision" aside=${html`<${Standing} item=${item} record=${record} />`}>
      ${(item.alerts || []).map((alert) => html`<${Alert} alert=${alert} />`)}
      ${item.warnings.map((text) => html`<div class="notice warn">${text}</div>`)}
      <${Lines} wants=${wants} item=${item} override=${override} onChosen=${setChosen} />
      <${Why} item=${item} chosen=${chosen} />
      <${Repairs} of=${item.repairs} />
      <${Judgement} record=${record} item=${item} override=${override} reload=${reload} single=${single} wants=${wants} />
      <${Export} record=${record} />
    <//>
    ${item.figures?.length > 0 && html`<${Sheet} title="What it means"><${Figures} of=${item.figures} /><//>`}
    ${hasRest && html`<${Sheet} title="Quantities, costs and prices behind it"><${Tables} of=${rest} /><//>`}`;
}

function Standing({ item, record }) {
  return html`
    ${item.in_training_range ? html`<${Tag} tone="good">State as in training<//>` : html`<${Tag} tone="warn">State outside what training has seen<//>`}
    ${item.repairs.length > 0 && html`<${Tag} tone="warn">${item.repairs.length} moved to be feasible<//>`}
    <span class="soft small" title=${when(record.created_at)}>asked ${ago(record.created_at)}</span>`;
}

const Alert = ({ alert }) => html`<div class="notice ${{ critical: "bad", warning: "warn" }[alert.severity] || ""}"><strong>${alert.title}</strong><span>${alert.detail}</span></div>`;

const MOST_REASONS = 12;

/** Why: the sentences about the line chosen, then all of them. */
function Why({ item, chosen }) {
  const [all, setAll] = useState(false);
  if (!item.why.length) return null;
  const names = chosen ? new Set(Object.values(chosen).filter((v) => typeof v === "string" && v)) : new Set();
  const about = chosen ? item.why.filter((sentence) => [...names].some((name) => sentence.startsWith(`${name} `) || sentence.startsWith(`${name}:`))) : [];
  const shown = all ? item.why : item.why.slice(0, MOST_REASONS);
  return html`<section class="stack" aria-label="Why">
    <h3>Why</h3>
    ${chosen && html`<div class="why-line" role="status">${about.length ? about.map((s) => html`<p>${s}</p>`) : html`<p class="soft">Nothing is said about this line alone.</p>`}</div>`}
    ${!chosen && html`<p class="small soft">Choose a line for its own reasons.</p>`}
    <ul class="reasons">${shown.map((s) => html`<li>${s}</li>`)}</ul>
    ${item.why.length > MOST_REASONS && !all && html`<div><button class="quiet" onClick=${() => setAll(true)}>All ${item.why.length} reasons</button></div>`}
  </section>`;
}

function Repairs({ of }) {
  if (!of.length) return null;
  return html`<section class="stack" aria-label="Moved to be feasible"><h3>Moved to be feasible</h3>
    <div class="scroll" tabindex="0" role="region" aria-label="What was moved"><table>
      <thead><tr><th>What</th><th class="number">Proposed</th><th class="number">Feasible</th><th>By which rule</th></tr></thead>
      <tbody>${of.slice(0, 200).map((r) => html`<tr><td>${words(r.field)}</td><td class="number">${number(r.proposed)}</td><td class="number">${number(r.feasible)}</td><td>${r.rule}</td></tr>`)}</tbody>
    </table></div></section>`;
}
