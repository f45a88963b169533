// Where a new instance comes from: an example, a file of this computer, published case files, a blank page, or unfinished work.
import { html, useEffect, useState } from "../../lib/ui.js";
import { create, get } from "../../lib/api.js";
import { draftNames, dropDraft, readDraft, writeDraft } from "../../lib/drafts.js";
import { useGet, useLoad } from "../../lib/load.js";
import { go, href } from "../../lib/router.js";
import { ago } from "../../lib/format.js";
import { Sheet, Tabs } from "../../parts/page.js";
import { Empty, Loaded, Problem, toast } from "../../parts/notice.js";
import { Act, Confirm } from "../../parts/dialog.js";
import { draftName } from "./editor.js";
import { Importers } from "./importers.js";

export function Chooser({ tab, problem }) {
  const problems = useGet("/v1/problems");
  const put = (changes) => go("/instances/new", { tab, problem, ...changes }, true);
  return html`
    <${Unfinished} />
    <${Loaded} of=${problems} what="the problems">${({ items }) => {
      const chosen = items.find((p) => p.name === problem) || items[0];
      const tabs = [
        ["example", "From an example", () => html`<${Examples} key=${chosen.name} problem=${chosen} />`],
        ["file", "From a JSON file", () => html`<${File} />`],
        ["import", "From case files or CSV", () => html`<${Importers} key=${chosen.name} problem=${chosen} />`],
        ["blank", "Blank", () => html`<p class="soft">A form with nothing filled in but what the problem itself says.</p><div><a class="button main" href=${href("/instances/new", { blank: chosen.name })}>Open a blank form</a></div>`],
      ];
      return html`<${Sheet} title="What is decided?"><div class="choices" role="radiogroup" aria-label="Problem">${items.map((p) => html`<label class="choice" key=${p.name}>
          <input type="radio" name="problem" checked=${p === chosen} onChange=${() => put({ problem: p.name })} /><span class="stack tight"><strong>${p.title}</strong><span class="soft small">${p.summary}</span></span></label>`)}</div><//>
        <${Sheet}><${Tabs} label="Where from" tabs=${tabs} current=${tab} onChange=${(next) => put({ tab: next })} /><//>`;
    }}<//>`;
}

/** Drafts of this browser that were not stored. */
function Unfinished() {
  const [turn, setTurn] = useState(0);
  const names = draftNames(draftName(""));
  if (!names.length) return null;
  const throwAway = async (name) => { dropDraft(name); setTurn(turn + 1); };
  return html`<${Sheet} title="Unfinished in this browser"><div class="scroll-x"><table><tbody>${names.map((name) => {
    const draft = readDraft(name);
    const title = draft.document?.name || name;
    return html`<tr key=${name}><td><a href=${href("/instances/new", addressOf(name.slice(draftName("").length)))}>${title}</a></td><td class="soft">${draft.at ? `changed ${ago(draft.at)}` : ""}</td>
      <td class="number"><${Confirm} label="Throw away" title=${`Throw ${title} away?`} text="What you changed is gone; stored instances stay." className="quiet" action=${() => throwAway(name)} /></td></tr>`;
  })}</tbody></table></div><//>`;
}

const addressOf = (key) => (key.startsWith("ins_") ? { from: key } : key.startsWith("blank.") ? { blank: key.slice(6) } : { draft: key });

function Examples({ problem }) {
  const list = useLoad(async () => (await get(`/v1/problems/${problem.name}/examples?limit=200`)).items, [problem.name]);
  const store = async (example) => {
    const document = await get(`/v1/problems/${problem.name}/examples/${example.name}`);
    const { data, status } = await create("/v1/instances", document);
    toast(status === 201 ? `${data.name} is stored.` : `${data.name} was stored already.`);
    go(`/instances/${data.id}`);
  };
  return html`<${Loaded} of=${list} what="the examples">${(items) => (!items.length ? html`<${Empty}>This problem has no examples.<//>`
    : html`<ul class="cards" aria-label="Examples">${items.map((example) => html`<li class="card" key=${example.name}>
      <strong>${example.title}</strong><span class="soft small"><code>${example.name}</code> · ${example.source}</span>
      <div class="row"><${Act} label="Create" busyLabel="Creating …" action=${() => store(example)} about=${example.title} /><a class="button" href=${href("/instances/new", { example: `${problem.name}/${example.name}` })} aria-label=${`Edit first: ${example.title}`}>Edit first</a></div></li>`)}</ul>`)}<//>`;
}

/** A JSON document of this computer, opened in the editor; nothing is stored yet. */
function File() {
  const [error, setError] = useState(null);
  const [over, setOver] = useState(false);
  const take = async (file) => {
    if (!file) return;
    setError(null);
    const key = `file.${file.name}`;
    try {
      const document = JSON.parse(await file.text());
      if (document === null || typeof document !== "object" || Array.isArray(document)) throw new Error("it holds no JSON object");
      if (!writeDraft(draftName(key), { document, at: new Date().toISOString() })) return await storeLarge(document);
      go("/instances/new", { draft: key });
    } catch (caught) {
      setError(Object.assign(new Error(`${file.name} could not be read: ${caught.message}.`), { title: "This file is not an instance", errors: caught.errors, requestId: caught.requestId }));
    }
  };
  useEffect(() => setError(null), []);
  return html`<div class="stack drop ${over ? "over" : ""}" onDragOver=${(e) => { e.preventDefault(); setOver(true); }} onDragLeave=${() => setOver(false)}
      onDrop=${(e) => { e.preventDefault(); setOver(false); take(e.dataTransfer.files[0]); }}>
    <p>A JSON document as the API takes it. It opens in the editor, where everything that is wrong is shown at its place.</p>
    <div class="field"><label for="json-file">JSON file</label><input id="json-file" type="file" accept=".json,application/json" onChange=${(e) => take(e.currentTarget.files[0])} /></div>
    <span class="soft small">Or drop it here.</span>
    <${Problem} error=${error} />
  </div>`;
}

/** Too large to be kept as a draft: stored at once, if it can be. */
async function storeLarge(document) {
  const { data } = await create("/v1/instances", document);
  toast(`${data.name} is stored.`);
  go(`/instances/${data.id}`);
}
