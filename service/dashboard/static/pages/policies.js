// Policies by name: what each is worth, and what is in use.
import { html, useMemo } from "../lib/ui.js";
import { go, href } from "../lib/router.js";
import { collect } from "../lib/api.js";
import { useLoad } from "../lib/load.js";
import { useTitles } from "../lib/titles.js";
import { ago, number, percent, when } from "../lib/format.js";
import { short } from "../lib/work.js";
import { Page, Sheet } from "../parts/page.js";
import { Empty, Loaded, Tag } from "../parts/notice.js";

const MOST = 2000;

export default function Policies({ query }) {
  const read = useLoad(async () => {
    const [policies, instances] = await Promise.all([collect("/v1/policies", MOST), collect("/v1/instances", MOST)]);
    return { policies, instances: Object.fromEntries(instances.map((one) => [one.id, one.name])) };
  }, []);
  return html`<${Page} title="Policies" lead="What has been trained, with the proof of what it is worth." actions=${html`<a class="button main" href="#/train">Train</a>`}>
    <${Loaded} of=${read} what="the policies">${(known) => (known.policies.length ? html`<${List} ...${known} query=${query} />`
      : html`<${Empty}><p>No policy has been trained yet.</p><a class="button main" href="#/train">Train the first</a><//>`)}<//>
  <//>`;
}

function List({ policies, instances, query }) {
  const title = useTitles();
  const choose = (change) => go("/policies", { ...query, ...change }, true);
  const names = useMemo(() => Object.entries(Object.groupBy(policies, (p) => p.name)).map(([name, versions]) => ({ name, versions: versions.sort((a, b) => b.version - a.version) })), [policies]);
  const kinds = [...new Set(policies.map((p) => p.problem))];
  const shown = names.filter(({ name, versions }) => name.includes((query.name || "").toLowerCase()) && (!query.problem || versions[0].problem === query.problem) && (!query.use || versions.some((v) => v.aliases.length)));
  return html`<${Sheet}>
    <div class="row">
      <label for="name">Name</label><input id="name" type="search" value=${query.name || ""} onInput=${(e) => choose({ name: e.currentTarget.value.trim() })} />
      <label for="problem">Problem</label><select id="problem" value=${query.problem || ""} onChange=${(e) => choose({ problem: e.currentTarget.value })}><option value="">Any</option>${kinds.map((kind) => html`<option value=${kind}>${title(kind)}</option>`)}</select>
      <label><input type="checkbox" checked=${Boolean(query.use)} onChange=${(e) => choose({ use: e.currentTarget.checked ? "1" : "" })} /> Only those in use</label>
    </div>
    ${shown.length ? html`<div class="scroll-x" tabindex="0" role="region" aria-label="Policies"><table>
      <thead><tr><th>Policy</th><th>In use as</th><th class="number">Cost a stage</th><th class="number">Above the bound</th><th>Verdict</th><th>Solver</th><th>Instance</th><th>Trained</th></tr></thead>
      <tbody>${shown.map((one) => html`<${Row} key=${one.name} ...${one} title=${title} instances=${instances} />`)}</tbody></table></div>` : html`<${Empty}>No policy is like that.<//>`}
  <//>`;
}

function Row({ name, versions, title, instances }) {
  const newest = versions[0];
  const used = versions.flatMap((v) => v.aliases.map((alias) => [alias, v.version]));
  return html`<tr>
    <td><a href=${href(`/policies/${name}`)}>${name}</a> <span class="soft small">version ${newest.version}${versions.length > 1 ? ` of ${versions.length}` : ""}</span></td>
    <td>${used.length ? used.map(([alias, version]) => html`<a class="tag good" href=${href(`/policies/${name}@${alias}`)} key=${alias}>${alias}: version ${version}</a> `) : html`<span class="soft">–</span>`}</td>
    <td class="number">${number(newest.mean_cost_per_stage)}</td>
    <td class="number">${newest.gap === null ? html`<span class="soft">no bound</span>` : percent(newest.gap)}</td>
    <td><${Verdict} good=${newest.recommended_for_use} /></td>
    <td>${short(title(newest.solver))}</td>
    <td><a href=${href(`/instances/${newest.instance_id}`)}>${instances[newest.instance_id] || "–"}</a></td>
    <td class="nowrap" title=${when(newest.created_at)}>${ago(newest.created_at)}</td></tr>`;
}

const Verdict = ({ good }) => html`<${Tag} tone=${good ? "good" : "warn"}>${good ? "recommended" : "not recommended"}<//>`;
