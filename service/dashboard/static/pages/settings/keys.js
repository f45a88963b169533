// Keys: who may call the API with which rights; a new key's secret is shown once.
import { html, useState } from "../../lib/ui.js";
import { del, get, post } from "../../lib/api.js";
import { useLoad } from "../../lib/load.js";
import { ago, when, words } from "../../lib/format.js";
import { Sheet } from "../../parts/page.js";
import { Dialog, Confirm } from "../../parts/dialog.js";
import { Empty, Loaded, Problem, Tag, toast } from "../../parts/notice.js";

const SCOPES = [
  ["read", "Look at everything"], ["plan", "Look, ask for recommendations, judge them"],
  ["train", "Look, store instances, run jobs, delete"], ["admin", "All of it, and keys"],
];
const OVERLAPS = [["PT1H", "for an hour"], ["P1D", "for a day"], ["P7D", "for a week"], ["", "not at all: it ends now"]];
const EXPIRIES = [["P30D", "in 30 days"], ["P90D", "in 90 days"], ["P365D", "in a year"], ["", "when it is revoked"]];

export function Keys() {
  const keys = useLoad(() => get("/v1/keys?limit=200"), []);
  const [open, setOpen] = useState(false);
  const [rotated, setRotated] = useState(null);
  return html`<${Sheet} title="Keys" aside=${html`<button class="main" onClick=${() => setOpen(true)}>New key</button>`}>
    <p class="soft">A key says who calls and what they may do. Only its hash is stored: a lost key cannot be shown again, only revoked.</p>
    <${Loaded} of=${keys} what="the keys">${({ items }) => html`<${List} items=${items} reload=${keys.reload} rotate=${setRotated} />`}<//>
    <${Dialog} open=${open} onClose=${() => setOpen(false)} title="New key"><${Make} onMade=${keys.reload} onClose=${() => setOpen(false)} /><//>
    <${Dialog} open=${rotated !== null} onClose=${() => setRotated(null)} title=${`New secret for ${rotated?.name}`}>${rotated && html`<${Rotate} of=${rotated} onMade=${keys.reload} onClose=${() => setRotated(null)} />`}<//>
  <//>`;
}

function List({ items, reload, rotate }) {
  if (!items.length) return html`<${Empty}><p>There are no keys. A service that only this machine can reach needs none.</p><//>`;
  const revoke = (key) => async () => {
    await del(`/v1/keys/${key.id}`);
    toast(`${key.name} is revoked.`);
    reload();
  };
  return html`<div class="scroll-x"><table><thead><tr><th scope="col">Name</th><th scope="col">May</th><th scope="col">State</th><th scope="col">Made</th><th scope="col">Expires</th><th scope="col">Last used</th><th scope="col">A minute</th><th scope="col"><span class="hidden">Change</span></th></tr></thead>
    <tbody>${items.map((key) => html`<tr key=${key.id}><td>${key.name}</td><td>${key.scopes.join(", ")}</td><td><${Standing} of=${key} /></td><td title=${when(key.created_at)}>${ago(key.created_at)}</td>
      <td title=${when(key.expires_at)}>${key.expires_at ? ago(key.expires_at) : "never"}</td><td title=${when(key.last_used_at)}>${key.last_used_at ? ago(key.last_used_at) : "never"}</td><td>${key.requests_per_minute ?? "–"}</td>
      <td class="number">${key.valid && html`<button class="quiet" onClick=${() => rotate(key)}>Rotate</button> <${Confirm} label="Revoke" className="quiet" confirm="Revoke it" title=${`Revoke ${key.name}?`} text="Whoever uses this key is refused from now on. This cannot be undone." action=${revoke(key)} />`}</td></tr>`)}</tbody></table></div>`;
}

function Standing({ of }) {
  if (of.valid && of.old_secret_until) return html`<${Tag} tone="warn">Two secrets, the old one until ${when(of.old_secret_until)}<//>`;
  if (of.valid) return html`<${Tag} tone="good">Valid<//>`;
  return html`<${Tag} tone=${of.revoked_at ? "bad" : "warn"}>${of.revoked_at ? "Revoked" : "Expired"}<//>`;
}

function Make({ onMade, onClose }) {
  const [name, setName] = useState("");
  const [scopes, setScopes] = useState(["plan"]);
  const [expiry, setExpiry] = useState("P365D");
  const [made, setMade] = useState(null);
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const send = async (event) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      setMade(await post("/v1/keys", { name: name.trim(), scopes, expires_in: expiry || null }));
      onMade();
    } catch (caught) {
      setError(caught);
    }
    setBusy(false);
  };
  if (made) return html`<${Secret} of=${made} onClose=${onClose} />`;
  const toggle = (scope) => setScopes(scopes.includes(scope) ? scopes.filter((s) => s !== scope) : [...scopes, scope]);
  return html`<form class="stack" onSubmit=${send}>
    <div class="field"><label for="key-name">Name</label><input id="key-name" value=${name} onInput=${(e) => setName(e.currentTarget.value)} placeholder="who or what uses it, for example maria" autocomplete="off" /></div>
    <fieldset class="stack tight"><legend>May</legend>${SCOPES.map(([scope, text]) => html`<label key=${scope}><input type="checkbox" checked=${scopes.includes(scope)} onChange=${() => toggle(scope)} /> ${words(scope)}: <span class="soft">${text.charAt(0).toLowerCase() + text.slice(1)}</span></label>`)}</fieldset>
    <div class="field"><label for="key-expiry">Expires</label><select id="key-expiry" value=${expiry} onChange=${(e) => setExpiry(e.currentTarget.value)}>${EXPIRIES.map(([value, text]) => html`<option value=${value}>${text}</option>`)}</select></div>
    <${Problem} error=${error} />
    <div class="row end"><button class="main" type="submit" disabled=${busy || !name.trim() || !scopes.length}>Make the key</button></div>
  </form>`;
}

function Rotate({ of, onMade, onClose }) {
  const [overlap, setOverlap] = useState(of.old_secret_until ? "" : "P1D");
  const [made, setMade] = useState(null);
  const [error, setError] = useState(null);
  const send = async (event) => {
    event.preventDefault();
    setError(null);
    try {
      setMade(await post(`/v1/keys/${of.id}/rotate`, { overlap: overlap || null }));
      onMade();
    } catch (caught) {
      setError(caught);
    }
  };
  if (made) return html`<${Secret} of=${made} onClose=${onClose} />`;
  return html`<form class="stack" onSubmit=${send}><p>The key keeps its name, its rights and its place in the audit log; only its secret changes.</p>
    <div class="field"><label for="key-overlap">The old secret still works</label><select id="key-overlap" value=${overlap} onChange=${(e) => setOverlap(e.currentTarget.value)}>${OVERLAPS.map(([value, text]) => html`<option value=${value}>${text}</option>`)}</select></div>
    <${Problem} error=${error} />
    <div class="row end"><button class="main" type="submit">Make the new secret</button></div></form>`;
}

function Secret({ of, onClose }) {
  const copy = () => navigator.clipboard.writeText(of.secret).then(() => toast("Copied."), () => toast("The browser did not allow copying; select the text instead.", "warn"));
  return html`<div class="stack"><p><strong>This is the key of ${of.name}. It is shown only now.</strong> Hand it over in a safe way.</p>
    <pre tabindex="0" aria-label="The new key">${of.secret}</pre>
    <div class="row end"><button onClick=${copy}>Copy</button><button class="main" onClick=${onClose}>I have kept it</button></div></div>`;
}
