// A policy in use: what it last recommended, what became of that, what to look at, and the button to decide.
import { html } from "../../lib/ui.js";
import { get } from "../../lib/api.js";
import { useLoad } from "../../lib/load.js";
import { href } from "../../lib/router.js";
import { useTitles } from "../../lib/titles.js";
import { ago, number, when } from "../../lib/format.js";
import { staleHours } from "../../lib/preferences.js";
import { Problem, Tag } from "../../parts/notice.js";

const MOST_LINES = 6;
const MOST_ALERTS = 4;
const HOUR_MS = 3_600_000;

/** Whether the last state the policy was asked with is too old to rest a decision on. */
export const isStale = ({ last_recommendation: last }) => Boolean(last) && Date.now() - new Date(last.created_at).getTime() > staleHours() * HOUR_MS;

/** Whether a planner has something to do: nothing recommended yet, not judged yet, or out of date. */
export const needsDecision = (policy) => !policy.last_recommendation || policy.last_recommendation.outcome === "pending" || isStale(policy);

export function PolicyCard({ policy }) {
  const title = useTitles();
  const last = policy.last_recommendation;
  const ref = policy.aliases[0] ? `${policy.name}@${policy.aliases[0]}` : policy.name;
  return html`<section class="sheet" aria-label=${policy.name}>
    <header><h2><a href=${href(`/policies/${policy.id}`)}>${policy.name}</a></h2><span class="row">${policy.aliases.map((alias) => html`<${Tag} tone="live">${alias}<//>`)}<span class="soft small">version ${policy.version} · ${title(policy.problem)}</span></span></header>
    <${Standing} policy=${policy} />
    ${last && html`<${Last} id=${last.id} policy=${policy} />`}
    <div class="row"><a class="button main" href=${href(`/decide/${ref}`)} aria-label=${`Decide with ${policy.name}`}>Decide now</a>
      ${last && html`<a class="button" href=${href(`/decisions/${last.id}`)} aria-label=${`Open the last recommendation of ${policy.name}`}>Open the last one</a>`}</div>
  </section>`;
}

function Standing({ policy }) {
  const last = policy.last_recommendation;
  if (!last) return html`<p class="soft">Nothing was asked of it yet.</p>`;
  const outcome = last.outcome === "pending" ? html`<${Tag} tone="warn">Not judged yet<//>` : html`<${Tag} state=${last.outcome} />`;
  return html`<div class="row"><span>Last recommendation <span title=${when(last.created_at)}>${ago(last.created_at)}</span></span>${outcome}
    ${isStale(policy) && html`<${Tag} tone="warn">State older than ${number(staleHours())} h<//>`}</div>`;
}

/** The last recommendation's alerts and first lines. */
function Last({ id, policy }) {
  const found = useLoad(async () => {
    const [record, wants] = await Promise.all([get(`/v1/recommendations/${id}`, { quiet: true }), get(`/v1/policies/${policy.id}/state`, { quiet: true })]);
    return { item: record.response.recommendations?.[0] ?? (record.response.decision ? record.response : null), states: record.states, wants };
  }, [id, policy.id]);
  if (found.error) return html`<${Problem} error=${found.error} retry=${found.reload} />`;
  if (!found.data) return html`<p class="busy small" role="status">Reading it …</p>`;
  const { item, states, wants } = found.data;
  if (!item) return html`<p class="soft">${number(states)} states were asked at once.</p>`;
  return html`<${Alerts} item=${item} /><${Lines} lines=${item.decision[wants.lines_key] || []} columns=${wants.columns} name=${policy.name} />
    ${states > 1 && html`<p class="soft small">The first of ${number(states)} states.</p>`}`;
}

const TONES = { critical: "bad", warning: "warn", info: "" };

function Alerts({ item }) {
  const known = (item.alerts || []).filter((alert) => alert.severity !== "info");
  const outside = !item.in_training_range && !known.some((a) => /train/i.test(a.title)) ? [{ severity: "warning", title: "State outside what training has seen", detail: "" }] : [];
  const all = [...known, ...outside];
  if (!all.length && !item.warnings.length) return null;
  return html`<ul class="alerts" aria-label="Alerts">${all.slice(0, MOST_ALERTS).map((a) => html`<li class=${`notice ${TONES[a.severity]}`}><strong>${a.title}</strong>${a.detail && html`<span class="small">${a.detail}</span>`}</li>`)}
    ${all.length > MOST_ALERTS && html`<li class="soft small">… and ${all.length - MOST_ALERTS} more.</li>`}
    ${item.warnings.map((text) => html`<li class="notice warn small">${text}</li>`)}</ul>`;
}

/** The first lines that ask for something. */
function Lines({ lines, columns, name }) {
  const amount = columns.find((c) => lines.some((line) => typeof line[c.key] === "number"))?.key;
  const doing = lines.filter((line) => !amount || line[amount] !== 0);
  if (!doing.length) return html`<p class="soft">It asks for nothing: the decision has no lines.</p>`;
  const isNumber = (key) => lines.some((line) => typeof line[key] === "number");
  const shown = columns.slice(0, 5);
  const text = (value) => (typeof value === "boolean" ? (value ? "yes" : "no") : number(value));
  return html`<div class="scroll-x" tabindex="0" role="region" aria-label=${`Last decision of ${name}`}><table class="small">
      <thead><tr>${shown.map((c) => html`<th scope="col" class=${isNumber(c.key) ? "number" : ""}>${c.title}${c.unit ? ` [${c.unit}]` : ""}</th>`)}</tr></thead>
      <tbody>${doing.slice(0, MOST_LINES).map((line) => html`<tr>${shown.map((c) => html`<td class=${isNumber(c.key) ? "number" : ""}>${text(line[c.key])}</td>`)}</tr>`)}</tbody>
    </table></div>
    ${doing.length > MOST_LINES && html`<p class="soft small">… and ${doing.length - MOST_LINES} more lines.</p>`}`;
}
