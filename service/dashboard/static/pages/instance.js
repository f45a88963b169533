// One instance: drawn, its data, which solvers serve it, and the policies trained on it.
import { html } from "../lib/ui.js";
import { del, saveBlob } from "../lib/api.js";
import { useGet } from "../lib/load.js";
import { go, href } from "../lib/router.js";
import { ago, when } from "../lib/format.js";
import { Page, Sheet, Tabs } from "../parts/page.js";
import { Empty, Loaded, Tag, toast } from "../parts/notice.js";
import { Confirm } from "../parts/dialog.js";
import { Figures } from "../parts/figure.js";
import { Facts } from "./instance/facts.js";

export default function OneInstance({ params, query }) {
  const path = `/v1/instances/${params.id}`;
  const instance = useGet(path);
  const problems = useGet("/v1/problems");
  const title = problems.data?.items.find((p) => p.name === instance.data?.problem)?.title;
  const name = instance.data?.name || "Instance";
  const remove = async () => {
    await del(path);
    toast(`${name} is deleted.`);
    go("/instances", {}, true);
  };
  const save = () => saveBlob(new Blob([JSON.stringify(instance.data.document, null, 2)], { type: "application/json" }), `${name}.json`);
  const actions = instance.data && html`
    <a class="button main" href=${href("/train", { instance: params.id })}>Train a policy</a>
    <a class="button" href=${href("/instances/new", { from: params.id })}>Edit as a copy</a>
    <button onClick=${save}>Download JSON</button>
    <${Confirm} label="Delete" title=${`Delete ${name}?`} text="The instance is deleted for good. One that a job, a policy or an evaluation refers to stays." action=${remove} confirm="Delete it" />`;
  const tabs = [
    ["figures", "Figures", () => html`<${Drawn} id=${params.id} />`],
    ["data", "Data", () => html`<${Loaded} of=${instance} what="the document">${(i) => html`<${Facts} problem=${i.problem} document=${i.document} />`}<//>`],
    ["solvers", "Solvers", () => html`<${Solvers} id=${params.id} />`],
    ["policies", "Policies", () => html`<${Policies} id=${params.id} />`],
  ];
  return html`<${Page} title=${name} crumbs=${[["Instances", "#/instances"]]} actions=${actions}
    lead=${instance.data && html`${title || instance.data.problem} · stored <span title=${when(instance.data.created_at)}>${ago(instance.data.created_at)}</span> · <span class="mono">${params.id}</span>`}>
    <${Loaded} of=${instance} what="the instance">${() => html`<${Tabs} label="About the instance" tabs=${tabs} current=${query.tab} onChange=${(tab) => go(`/instances/${params.id}`, { tab }, true)} />`}<//>
  <//>`;
}

function Drawn({ id }) {
  const figures = useGet(`/v1/instances/${id}/figures`);
  return html`<${Loaded} of=${figures} what="the figures">${({ figures: list }) => (list.length ? html`<${Figures} of=${list} level=${2} />` : html`<${Empty}>This problem draws no figures.<//>`)}<//>`;
}

function Solvers({ id }) {
  const fit = useGet(`/v1/instances/${id}/fit`);
  return html`<${Loaded} of=${fit} what="the solvers">${({ solvers, rules }) => html`
    <${Sheet} title="Solvers that serve this instance"><div class="scroll-x"><table><thead><tr><th scope="col">Solver</th><th scope="col">Gives</th><th scope="col"><span class="hidden">Train</span></th></tr></thead>
      <tbody>${solvers.filter((s) => s.serves).map((s) => html`<tr key=${s.name}><td>${s.title}</td><td class="soft">${s.kind === "train" ? "a policy" : "a plan or a bound"}</td>
        <td class="number">${s.kind === "train" && html`<a href=${href("/train", { instance: id, solver: s.name })} aria-label=${`Train with ${s.title}`}>Train</a>`}</td></tr>`)}</tbody></table></div>
      ${rules.length > 0 && html`<p class="soft">Classical rules it is compared with: ${rules.map((r) => r.title.charAt(0).toLowerCase() + r.title.slice(1)).join("; ")}.</p>`}<//>
    <${Sheet} title="Solvers that do not, and why"><${Others} of=${solvers.filter((s) => !s.serves)} /><//>`}<//>`;
}

function Others({ of }) {
  if (!of.length) return html`<p class="soft">Every solver serves it.</p>`;
  return html`<div class="scroll-x"><table><thead><tr><th scope="col">Solver</th><th scope="col">Why not</th></tr></thead>
    <tbody>${of.map((s) => html`<tr key=${s.name}><td>${s.title}</td><td>${s.reasons.join("; ")}</td></tr>`)}</tbody></table></div>`;
}

function Policies({ id }) {
  const policies = useGet(`/v1/policies?instance_id=${id}&limit=200`);
  return html`<${Loaded} of=${policies} what="the policies">${({ items }) => (!items.length
    ? html`<${Empty}><p>No policy was trained on this instance yet.</p><a class="button main" href=${href("/train", { instance: id })}>Train a policy</a><//>`
    : html`<${Sheet}><div class="scroll-x"><table><thead><tr><th scope="col">Policy</th><th scope="col">Version</th><th scope="col">Solver</th><th scope="col">Use</th><th scope="col">Trained</th></tr></thead>
      <tbody>${items.map((p) => html`<tr key=${p.id}><td><a href=${href(`/policies/${p.id}`)}>${p.name}</a></td><td>${p.version}</td><td>${p.solver}</td>
        <td>${(p.aliases || []).map((a) => html`<${Tag} tone="live">${a}</${Tag}> `)}${p.recommended_for_use === false && html`<${Tag} tone="warn">a rule is better</${Tag}>`}</td>
        <td title=${when(p.created_at)}>${ago(p.created_at)}</td></tr>`)}</tbody></table></div><//>`)}<//>`;
}
