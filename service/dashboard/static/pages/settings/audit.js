// The audit log: who changed what, newest first.
import { html, useState } from "../../lib/ui.js";
import { get } from "../../lib/api.js";
import { useLoad } from "../../lib/load.js";
import { go, href } from "../../lib/router.js";
import { ago, when, words } from "../../lib/format.js";
import { Sheet } from "../../parts/page.js";
import { Empty, Loaded, Problem } from "../../parts/notice.js";

const KINDS = [
  ["", "everything"], ["job.submitted,job.retried,job.cancelled,job.deleted", "jobs"], ["alias.set,alias.deleted,acceptance_test.made,acceptance_test.deleted,policy.deleted", "policies in use"],
  ["recommendation.judged", "decisions"], ["instance.stored,instance.deleted,scenario_set.stored,scenario_set.deleted", "data"], ["key.made,key.rotated,key.revoked", "keys"],
];
const PAGES = { job: "/jobs/", ins: "/instances/", rec: "/decisions/" };

export function Audit({ query }) {
  const kind = query.kind || "";
  const path = `/v1/audit?limit=50${kind.split(",").filter(Boolean).map((action) => `&action=${action}`).join("")}${query.subject ? `&subject=${encodeURIComponent(query.subject)}` : ""}`;
  const first = useLoad(() => get(path), [path]);
  const turn = (changes) => go("/settings", { tab: "audit", ...(kind && { kind }), ...(query.subject && { subject: query.subject }), ...changes }, true);
  return html`<${Sheet} title="Who changed what">
    <p class="soft">Written with each change and kept as it was written. Recommendations have a record of their own, which says who asked.</p>
    <div class="field narrow"><label for="audit-kind">Show</label><select id="audit-kind" value=${kind} onChange=${(e) => turn({ kind: e.currentTarget.value })}>${KINDS.map(([value, text]) => html`<option value=${value}>${text}</option>`)}</select></div>
    ${query.subject && html`<p>Only <code>${query.subject}</code>. <button class="quiet" onClick=${() => go("/settings", { tab: "audit", kind }, true)}>Show all</button></p>`}
    <${Loaded} of=${first} what="the audit log">${(page) => html`<${Entries} key=${`${path} ${page.items.map((entry) => entry.id).join()}`} path=${path} first=${page} turn=${turn} />`}<//><//>`;
}

function Entries({ path, first, turn }) {
  const [items, setItems] = useState(first.items);
  const [next, setNext] = useState(first.next_cursor);
  const [error, setError] = useState(null);
  const more = async () => {
    setError(null);
    try {
      const page = await get(`${path}&cursor=${next}`);
      setItems([...items, ...page.items]);
      setNext(page.next_cursor);
    } catch (caught) {
      setError(caught);
    }
  };
  if (!items.length) return html`<${Empty}><p>Nothing of this kind was changed.</p><//>`;
  return html`<div class="scroll-x"><table><thead><tr><th scope="col">When</th><th scope="col">Who</th><th scope="col">Did</th><th scope="col">To</th><th scope="col">More</th></tr></thead>
      <tbody>${items.map((entry) => html`<tr key=${entry.id}><td title=${when(entry.at)}>${ago(entry.at)}</td><td title=${entry.actor}>${entry.actor_name}</td><td>${words(entry.action.replace(".", " "))}</td>
        <td><${Subject} of=${entry.subject} turn=${turn} /></td><td>${told(entry.detail)}</td></tr>`)}</tbody></table></div>
    <${Problem} error=${error} />${next && html`<button onClick=${more}>Older ones</button>`}`;
}

function Subject({ of, turn }) {
  const page = PAGES[of.slice(0, 3)];
  const only = html`<button class="quiet" onClick=${() => turn({ subject: of })} aria-label=${`Only ${of}`}>only this</button>`;
  return html`${page && of[3] === "_" ? html`<a class="mono" href=${href(page + of)}>${of.slice(-8)}</a>` : html`<span class="mono">${of}</span>`} ${only}`;
}

const told = (detail) => Object.entries(detail).filter(([, value]) => value !== null && String(value) !== "").map(([name, value]) => `${words(name)} ${Array.isArray(value) ? value.join(", ") : value}`).join("; ");
