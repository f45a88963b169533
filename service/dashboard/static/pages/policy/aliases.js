// Aliases of a policy's name: promoted, moved and removed only as they were last seen here.
import { html, useState } from "../../lib/ui.js";
import { del, get, put } from "../../lib/api.js";
import { useGet } from "../../lib/load.js";
import { ago } from "../../lib/format.js";
import { Sheet } from "../../parts/page.js";
import { Loaded, Problem, Tag, toast } from "../../parts/notice.js";
import { Act, Confirm } from "../../parts/dialog.js";

const matching = (alias) => ({ headers: { "If-Match": `"${alias.etag}"` } });

export function Aliases({ card, tests, onChange }) {
  const list = useGet(`/v1/policies/${card.name}/aliases`);
  const changed = () => { list.reload(); onChange(); };
  return html`<${Sheet} title="Aliases">
    <p class="soft">An alias says what a version is in use for: whoever asks for <code>${card.name}@production</code> gets the version it names, whichever was trained since.</p>
    <${Loaded} of=${list} what="the aliases">${({ items }) => html`
      ${items.length > 0 && html`<div class="scroll-x" tabindex="0" role="region" aria-label="Aliases"><table><thead><tr><th>Alias</th><th>Version</th><th>Since</th><th>Note</th><th></th></tr></thead>
        <tbody>${items.map((alias) => html`<${Row} key=${alias.alias} ...${{ alias, card, changed }} />`)}</tbody></table></div>`}
      <${Promote} card=${card} tests=${tests} items=${items} changed=${changed} />`}<//>
  <//>`;
}

function Row({ alias, card, changed }) {
  const remove = async () => {
    await del(pathOf(alias.policy_name, alias.alias), matching(alias));
    toast(`${alias.alias} was removed.`);
    changed();
  };
  return html`<tr><td><code>${alias.alias}</code></td><td>Version ${alias.policy.version}${alias.policy.id === card.id && html` <span class="soft small">this one</span>`}</td>
    <td>${ago(alias.updated_at)}${alias.updated_by ? ` by ${alias.updated_by}` : ""}</td><td>${alias.note || ""}</td>
    <td><${Confirm} label="Remove" title=${`Remove ${alias.alias}?`} text=${`Whoever asks for ${alias.policy_name}@${alias.alias} is then refused.`} action=${remove} /></td></tr>`;
}

const pathOf = (name, alias) => `/v1/policies/${name}/aliases/${encodeURIComponent(alias)}`;

/** Give this version an alias, new or moved from another version. */
function Promote({ card, tests, items, changed }) {
  const [name, setName] = useState("production");
  const [note, setNote] = useState("");
  const [other, setOther] = useState(null); // the alias as somebody else left it meanwhile
  const [refusal, setRefusal] = useState(null);
  const present = items.find((alias) => alias.alias === name);
  const ask = async (known) => {
    setRefusal(null);
    setOther(null);
    const headers = known ? { "If-Match": `"${known.etag}"` } : { "If-None-Match": "*" };
    try {
      await put(pathOf(card.name, name), { version: card.version, ...(note && { note }) }, { headers });
      setNote("");
      toast(`${card.name}@${name} is now version ${card.version}.`);
      changed();
    } catch (error) {
      if (error.status === 412) setOther(await get(pathOf(card.name, name), { quiet: true }).catch(() => null));
      setRefusal(error);
    }
  };
  const already = present?.policy.id === card.id;
  const fault = (refusal?.errors || []).filter((e) => e.pointer === "/note" || e.pointer === "/version");
  return html`<form class="stack" onSubmit=${(e) => { e.preventDefault(); ask(present); }}>
    <h3>Put version ${card.version} in use</h3>
    <div class="form">
      <div class="field"><label for="alias">Alias</label><input id="alias" list="aliases" autocomplete="off" value=${name} aria-describedby="alias-help" onInput=${(e) => { setName(e.currentTarget.value.trim()); setRefusal(null); setOther(null); }} />
        <datalist id="aliases">${["production", "staging", ...items.map((a) => a.alias)].filter((a, i, all) => all.indexOf(a) === i).map((a) => html`<option value=${a} />`)}</datalist>
        <span class="help" id="alias-help">${already ? "It names this version already." : present ? `It names version ${present.policy.version} now, and would move here.` : "It does not exist yet, and would be made."}</span></div>
      <div class="field"><label for="alias-note">Why (kept with it)</label><input id="alias-note" value=${note} onInput=${(e) => setNote(e.currentTarget.value)} aria-invalid=${fault.length ? "true" : undefined} /></div>
    </div>
    ${!card.recommended_for_use && html`<p class="notice warn">This version is not recommended for use${card.better_rule ? ": a classical rule does better" : ""}.</p>`}
    ${other && html`<div class="notice warn" role="alert"><strong>Somebody else moved ${name} meanwhile.</strong>
      <span>When you looked it named ${present ? `version ${present.policy.version}` : "nothing"}; now it names version ${other.policy.version}, since ${ago(other.updated_at)}${other.updated_by ? ` by ${other.updated_by}` : ""}${other.note ? `: “${other.note}”` : ""}.</span>
      <div class="row"><${Act} label=${`Move it to version ${card.version} all the same`} action=${() => ask(other)} /><button type="button" onClick=${changed}>Leave it as it is</button></div></div>`}
    <${Guards} tests=${tests.filter((test) => test.guards.includes(name))} card=${card} />
    ${!other && html`<${Problem} error=${refusal} />`}
    ${(refusal?.document?.tests || []).map((test) => html`<div class="notice bad"><strong>${test.name}: ${test.verdict === "missing" ? "this version has not been put to the test" : "failed"}</strong>${(test.failed || []).map((text) => html`<span>${text}</span>`)}</div>`)}
    ${!other && html`<div><button class="main" type="submit" disabled=${already || !name}>${present ? "Move it here" : "Put in use"}</button></div>`}
  </form>`;
}

/** The tests that guard the alias, and how this version did. */
function Guards({ tests, card }) {
  if (!tests.length) return null;
  return html`<div class="row"><span class="soft">Guarded by</span>${tests.map((test) => {
    const verdict = test.verdicts.find((v) => v.policy_id === card.id);
    return html`<span key=${test.id}>${test.name} <${Tag} tone=${verdict ? (verdict.passed ? "good" : "bad") : "warn"}>${verdict ? (verdict.passed ? "passed" : "failed") : "not run yet"}<//></span>`;
  })}</div>`;
}
