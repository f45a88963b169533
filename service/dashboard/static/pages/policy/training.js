// How a policy was trained and where it comes from.
import { html } from "../../lib/ui.js";
import { href } from "../../lib/router.js";
import { saveBlob } from "../../lib/api.js";
import { duration, inSentence, number, shortId, when, words } from "../../lib/format.js";
import { useRules, useTitles } from "../../lib/titles.js";
import { ending, short } from "../../lib/work.js";
import { yardsticksOf } from "../../lib/yardsticks.js";
import { Sheet } from "../../parts/page.js";
import { CurveChart } from "../../parts/learning_curve.js";
import { Settings } from "../../parts/settings_list.js";
import { Receipt } from "./receipt.js";

export function Training({ card, reload }) {
  const rule = useRules(card.problem);
  const found = yardsticksOf(card.certificate);
  const marks = found && { ...found, from: "the end of this training" };
  const points = (name) => card.curve.filter((row) => Number.isFinite(row[name])).map((row) => [row.iteration, row[name]]);
  const lines = { batches: [], validated: points("cost"), best: points("best_cost"), bound: points("bound") };
  const described = Object.entries(card.description || {});
  return html`
    ${card.curve.length > 1 && html`<${Sheet} title="Learning curve"><${CurveChart} lines=${lines} marks=${marks} tick=${0} rule=${rule} /><//>`}
    <div class="columns">
      <${Sheet} title="Origin"><${Origin} card=${card} /><//>
      <${Sheet} title="Receipt"><${Receipt} card=${card} reload=${reload} /><//>
      ${described.length > 0 && html`<${Sheet} title="The policy in words"><dl>${described.map(([name, value]) => html`<dt>${words(name)}</dt><dd class="number"><${Described} value=${value} /></dd>`)}</dl><//>`}
      ${card.training.constraints && Object.keys(card.training.constraints).length > 0 && html`<${Sheet} title="Targets and their prices"><${Constraints} of=${card.training.constraints} /><//>`}
    </div>`;
}

/** Numbers as numbers, small tables as lists, texts as they are. */
function Described({ value }) {
  if (value === null || typeof value !== "object") return number(value, 5);
  if (!Array.isArray(value)) return html`<dl class="small">${Object.entries(value).map(([name, inner]) => html`<dt>${name}</dt><dd><${Described} value=${inner} /></dd>`)}</dl>`;
  if (value.every((v) => v === null || typeof v !== "object")) return value.map((v) => number(v, 5)).join(", ");
  const columns = [...new Set(value.flatMap((row) => Object.keys(row || {})))];
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Table"><table><thead><tr>${columns.map((c) => html`<th>${words(c)}</th>`)}</tr></thead>
    <tbody>${value.map((row) => html`<tr>${columns.map((c) => html`<td><${Described} value=${row?.[c] ?? null} /></td>`)}</tr>`)}</tbody></table></div>`;
}

function Origin({ card }) {
  const { training } = card;
  const title = useTitles();
  const family = useRules(card.problem);
  const rows = [
    ["Policy", html`<code>${card.id}</code>`],
    ["Solver", `${short(title(card.solver))}, ${inSentence(family(card.family))}`],
    ["Instance", html`<a href=${href(`/instances/${card.instance_id}`)}>${card.instance.name}</a> <code class="small">${card.instance.digest}</code>`],
    (card.also_instance_ids || []).length > 0 && ["Also trained on", card.also_instance_ids.map((id) => html`<a href=${href(`/instances/${id}`)}>${shortId(id)}</a> `)],
    card.warm_start && ["Started from", html`<a href=${href(`/policies/${card.warm_start}`)}>${shortId(card.warm_start)}</a>`],
    card.job_id && ["Job", html`<a href=${href(`/jobs/${card.job_id}`)}>${shortId(card.job_id)}</a>`],
    ["Seed", html`<span class="number">${card.seed}</span>`],
    training.seconds !== undefined && ["Trained", `${number(training.iterations)} iterations in ${duration(training.seconds)} on ${training.device}. ${ending(training.stopped_by)}.`],
    (training.relaxes || []).length > 0 && ["Training lets go of", training.relaxes.join("; ")],
    ["Artifact", html`<code class="small">${card.artifact_digest}</code>`],
    card.versions && ["Made with", Object.entries(card.versions).map(([name, version]) => `${name} ${version}`).join(", ")],
    ["Stored", when(card.created_at)],
  ].filter(Boolean);
  const save = () => saveBlob(new Blob([JSON.stringify(card, null, 2)], { type: "application/json" }), `${card.name}-${card.version}.json`);
  return html`<dl>${rows.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl><${Settings} of=${card.config} /><div><button onClick=${save}>Download the card (JSON)</button></div>`;
}

const Constraints = ({ of }) => html`<div class="scroll-x" tabindex="0" role="region" aria-label="Targets"><table><thead><tr><th>Target</th>${[...new Set(Object.values(of).flatMap(Object.keys))].map((key) => html`<th class="number">${words(key)}</th>`)}</tr></thead>
  <tbody>${Object.entries(of).map(([name, row]) => html`<tr><td>${words(name)}</td>${[...new Set(Object.values(of).flatMap(Object.keys))].map((key) => html`<td class="number">${number(row[key])}</td>`)}</tr>`)}</tbody></table></div>`;
