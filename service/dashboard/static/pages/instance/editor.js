// The editor of a document that is not stored yet: checked by the API while it is typed, kept in this browser until it is stored.
import { html, useCallback, useEffect, useRef, useState } from "../../lib/ui.js";
import { create, online, post } from "../../lib/api.js";
import { useDraft } from "../../lib/drafts.js";
import { useGet } from "../../lib/load.js";
import { go } from "../../lib/router.js";
import { ago, number, words } from "../../lib/format.js";
import { Sheet } from "../../parts/page.js";
import { Loaded, Problem, Tag, toast } from "../../parts/notice.js";
import { Act, Confirm } from "../../parts/dialog.js";
import { DocumentEditor, tabOf } from "../../parts/document.js";

const PAUSE_MS = 400;
const MOST_SAID = 6;

/** The name of a draft in this browser. */
export const draftName = (key) => `instance.${key}`;

/**
 * What the API says of a document: {issues, state, refusal}, asked again once typing pauses or the line is back. The state
 * is "checking", "checked", "refused" (with the refusal: too large, not allowed) or "unknown" (no answer).
 */
function useIssues(document) {
  const [found, setFound] = useState({ issues: [], state: "checking" });
  const [turn, setTurn] = useState(0);
  useEffect(() => online.watch((now) => now && setTurn((n) => n + 1)), []);
  useEffect(() => {
    const asking = new AbortController();
    setFound((old) => ({ ...old, state: "checking" }));
    const timer = setTimeout(async () => {
      try {
        const { issues } = await post("/v1/instances/validate", document, { signal: asking.signal });
        setFound({ issues, state: "checked", refusal: null });
      } catch (error) {
        if (error.name !== "AbortError") setFound((old) => (error.status ? { issues: [], state: "refused", refusal: error } : { ...old, state: "unknown", refusal: null }));
      }
    }, PAUSE_MS);
    return () => { clearTimeout(timer); asking.abort(); };
  }, [document, turn]);
  return found;
}

export function Editor({ source, first, known, tab }) {
  const initial = useRef({ document: first });
  const [draft, setDraft, drop, kept] = useDraft(draftName(source.key), initial.current);
  const { document, broken = null } = draft;
  const { issues, state, refusal } = useIssues(document);
  const problem = known.find((p) => p.name === document?.problem) || known[0];
  const schema = useGet(`/v1/problems/${problem.name}/schema`);
  const change = useCallback((changes) => setDraft((old) => ({ ...old, ...changes, at: new Date().toISOString() })), [setDraft]);
  const setTab = (name) => go("/instances/new", { ...queryNow(), tab: name }, true);
  const errors = issues.filter((i) => i.severity === "error");
  const store = async () => {
    const { data, status } = await create("/v1/instances", document);
    drop({ document });
    toast(status === 201 ? `${data.name} is stored.` : `This content is stored already, as ${data.name}.`);
    go(`/instances/${data.id}`);
  };
  const restart = async () => drop({ document: await source.read() });
  return html`<div class="stack">
    ${kept && html`<div class="notice"><span>Your changes${draft.at ? ` of ${ago(draft.at)}` : ""} were kept in this browser.</span></div>`}
    <${Sheet} title=${problem.title} aside=${html`<${Checked} errors=${errors} issues=${issues} state=${state} broken=${broken} />`}>
      <${Problem} error=${refusal} />
      <${Summary} issues=${issues} document=${document} onShow=${(i) => schema.data && setTab(tabOf(i.pointer, schema.data))} />
      <${Loaded} of=${schema} what="the form">${(found) => html`<${DocumentEditor} schema=${found} value=${document} issues=${issues} tab=${tab} onTab=${setTab}
        broken=${broken} onText=${(next) => change({ broken: next })} onChange=${(next) => change({ document: next, broken: null })} />`}<//>
    <//>
    <div class="row apart">
      <${Act} label="Store this instance" busyLabel="Storing …" action=${store} disabled=${errors.length > 0 || Boolean(broken) || Boolean(refusal)} />
      <${Confirm} label="Throw the changes away" confirm="Throw away" title="Throw the changes away?" action=${restart} disabled=${!draft.at}
        text="The form shows the original again. What you changed is gone." />
    </div>
  </div>`;
}

const queryNow = () => Object.fromEntries(new URLSearchParams(location.hash.split("?")[1] || ""));

function Checked({ errors, issues, state, broken }) {
  if (broken) return html`<${Tag} tone="bad">Not readable as JSON</${Tag}>`;
  if (errors.length) return html`<${Tag} tone="bad">${number(errors.length)} to correct</${Tag}>`;
  if (state === "refused") return html`<${Tag} tone="bad">Cannot be checked</${Tag}>`;
  if (state === "unknown") return html`<${Tag} tone="warn">Not checked: the server does not answer</${Tag}>`;
  if (state === "checking") return html`<span class="busy small" role="status">Checking …</span>`;
  const remarks = issues.length;
  return html`<${Tag} tone=${remarks ? "warn" : "good"}>${remarks ? `Can be stored, ${remarks} ${remarks === 1 ? "remark" : "remarks"}` : "Can be stored"}</${Tag}>`;
}

function Summary({ issues, onShow }) {
  if (!issues.length) return null;
  return html`<details open=${issues.length <= MOST_SAID}>
    <summary>${issues.length === 1 ? "One thing" : `${number(issues.length)} things`} to look at</summary>
    <ul class="faults" aria-live="polite">${issues.slice(0, 50).map((i) => html`<li class=${i.severity === "error" ? "fault" : "remark"}>
      <button class="quiet" onClick=${() => onShow(i)}>${placeOf(i.pointer)}</button>: ${i.detail}</li>`)}</ul>
  </details>`;
}

const placeOf = (pointer) => pointer.split("/").slice(1).map((part) => (/^\d+$/.test(part) ? `row ${Number(part) + 1}` : words(part).toLowerCase())).join(", ") || "the document";
