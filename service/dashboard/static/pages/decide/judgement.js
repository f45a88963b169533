// What the planner did with a recommendation: accepted it, overrode it with numbers of their own, or rejected it.
import { html, useState } from "../../lib/ui.js";
import { put } from "../../lib/api.js";
import { useDraft } from "../../lib/drafts.js";
import { pointerParts } from "../../lib/document.js";
import { ago, number } from "../../lib/format.js";
import { Problem, Tag, toast } from "../../parts/notice.js";
import { Replay } from "./replay.js";

/** The numbers typed over a recommendation, kept as a draft under its id. */
export function useOverride(record, item, wants) {
  const proposed = item.decision[wants.lines_key];
  const [draft, setDraft, drop] = useDraft(`override.${record.id}`, null);
  const [faults, setFaults] = useState([]);
  const typed = draft?.lines;
  return {
    on: Boolean(typed), lines: typed || proposed, faults, setFaults, note: draft?.note ?? "", drop: () => { setFaults([]); drop(null); },
    begin: () => setDraft((old) => ({ ...old, lines: record.outcome?.decision?.[wants.lines_key] || proposed })),
    setLines: (lines) => { setFaults([]); setDraft((old) => ({ ...old, lines })); },
    setNote: (note) => setDraft((old) => ({ ...old, note })),
  };
}

export function Judgement({ record, item, override, reload, single, wants }) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const [open, setOpen] = useState(record.outcome === null);
  const send = async (outcome) => {
    setBusy(true);
    setError(null);
    override.setFaults([]);
    try {
      const body = { outcome, ...(override.note.trim() ? { note: override.note.trim() } : {}), ...(outcome === "overridden" ? { decision: { [wants.lines_key]: override.lines } } : {}) };
      await put(`/v1/recommendations/${record.id}/outcome`, body);
      override.drop();
      setOpen(false);
      toast({ accepted: "Accepted.", overridden: "Your decision is kept beside the recommendation.", rejected: "Rejected." }[outcome]);
      reload();
    } catch (caught) {
      override.setFaults(caught.errors || []);
      setError(inWords(caught, override.lines, wants));
    }
    setBusy(false);
  };
  return html`<section class="stack judgement" aria-label="Your judgement">
    ${record.outcome && html`<${Given} record=${record} wants=${wants} item=${item} reload=${reload} />`}
    ${!open && !override.on ? html`<div><button class="quiet" onClick=${() => setOpen(true)}>Change your judgement</button></div>`
      : html`<${Choices} override=${override} busy=${busy} send=${send} single=${single} />`}
    ${override.on && html`<${Changes} item=${item} override=${override} wants=${wants} />`}
    <${Problem} error=${error} />
  </section>`;
}

const nameOf = (line, wants) => wants.columns.map(({ key }) => line?.[key]).filter((v) => typeof v === "string").slice(0, 2).join(" → ");

/** A refusal of numbers, its places named as the grid names them. */
function inWords(error, lines, wants) {
  const places = (error.errors || []).map(({ pointer, detail }) => {
    const [, , row, key] = pointerParts(pointer);
    const column = wants.columns.find((c) => c.key === key);
    return { detail, pointer: row === undefined ? "All lines" : [nameOf(lines[row], wants) || `Line ${Number(row) + 1}`, column?.title.toLowerCase()].filter(Boolean).join(", ") };
  });
  if (!places.length || !error.errors.every((e) => e.pointer.startsWith(`/decision/${wants.lines_key}`))) return error;
  return { title: "Your decision cannot be carried out", message: "Nothing was kept. Change what is marked, or take the recommendation back.", errors: places, requestId: error.requestId };
}

function Choices({ override, busy, send, single }) {
  const noReason = override.on && !override.note.trim();
  return html`
    <div class="field"><label for="note">Reason${override.on ? html` <span class="soft">(needed for numbers of your own)</span>` : html` <span class="soft">(may be left out)</span>`}</label>
      <textarea id="note" rows="2" maxlength="4000" value=${override.note} onInput=${(e) => override.setNote(e.currentTarget.value)}></textarea></div>
    <div class="row">
      ${override.on ? html`
        <button class="main" disabled=${busy || noReason} onClick=${() => send("overridden")}>Keep my decision</button>
        <button disabled=${busy} onClick=${override.drop}>Back to the recommendation</button>
        ${noReason && html`<span class="soft small">Say why, in a few words, to keep it.</span>`}`
      : html`
        <button class="main" disabled=${busy} onClick=${() => send("accepted")}>Accept</button>
        ${single && html`<button disabled=${busy} onClick=${override.begin}>Override …</button>`}
        <button class="danger" disabled=${busy} onClick=${() => send("rejected")}>Reject</button>`}
    </div>`;
}

/** What differs from the recommendation, and what the API says of a line. */
function Changes({ item, override, wants }) {
  const proposed = item.decision[wants.lines_key];
  const changes = override.lines.flatMap((line, i) => wants.columns
    .filter(({ key }) => line[key] !== proposed[i]?.[key])
    .map((column) => ({ line, column, from: proposed[i]?.[column.key], to: line[column.key] })));
  return html`<div class="stack"><h3>Your changes</h3>
    ${changes.length === 0 ? html`<p class="soft">None yet: type into the cells of the grid above.</p>`
      : html`<ul class="reasons">${changes.slice(0, 50).map((c) => html`<li>${nameOf(c.line, wants)}: ${c.column.title.toLowerCase()} ${number(c.from)} → <b>${number(c.to)}</b> ${c.column.unit}</li>`)}</ul>`}
  </div>`;
}

function Given({ record, wants, item, reload }) {
  const { outcome, by, at, note, decision } = record.outcome;
  return html`<div class="stack">
    <div class="row"><${Tag} state=${outcome} /><span class="soft">${ago(at)} by ${by}</span></div>
    ${note && html`<p>“${note}”</p>`}
    ${decision && html`<${Kept} decision=${decision} item=${item} wants=${wants} />`}
    ${outcome === "overridden" && html`<${Replay} record=${record} reload=${reload} />`}
  </div>`;
}

/** The planner's own lines beside those recommended. */
function Kept({ decision, item, wants }) {
  const lines = decision[wants.lines_key];
  if (!Array.isArray(lines)) return html`<pre tabindex="0" class="scroll">${JSON.stringify(decision, null, 2)}</pre>`;
  const proposed = item.decision[wants.lines_key];
  return html`<div class="scroll" tabindex="0" role="region" aria-label="The planner's decision"><table>
    <thead><tr>${wants.columns.map((c) => html`<th class=${typeof proposed[0]?.[c.key] === "number" ? "number" : ""}>${c.title}${c.unit ? ` [${c.unit}]` : ""}</th>`)}</tr></thead>
    <tbody>${lines.map((line, i) => html`<tr>${wants.columns.map(({ key }) => html`<td class=${typeof line[key] === "number" ? "number" : ""}>${line[key] === proposed[i]?.[key] ? number(line[key]) : html`<s class="soft">${number(proposed[i]?.[key])}</s> <b>${number(line[key])}</b>`}</td>`)}</tr>`)}</tbody>
  </table></div>`;
}
