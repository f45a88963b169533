// All instances, newest first, found by name and problem.
import { html, useEffect, useState } from "../lib/ui.js";
import { get } from "../lib/api.js";
import { useGet, useLoad } from "../lib/load.js";
import { go, href } from "../lib/router.js";
import { ago, when } from "../lib/format.js";
import { Page, Sheet } from "../parts/page.js";
import { Empty, Loaded } from "../parts/notice.js";
import { Act } from "../parts/dialog.js";

const TYPING_MS = 250;

/** A value that follows another once it has stood still. */
function useSettled(value, ms) {
  const [settled, settle] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => settle(value), ms);
    return () => clearTimeout(timer);
  }, [value]);
  return settled;
}

export default function Instances({ query }) {
  const [search, setSearch] = useState(query.search || "");
  const problem = query.problem || "";
  const settled = useSettled(search.trim(), TYPING_MS);
  useEffect(() => go("/instances", { search: settled, problem }, true), [settled, problem]);
  const problems = useGet("/v1/problems");
  const path = `/v1/instances${address({ problem, search: settled, limit: 50 })}`;
  const found = useLoad(() => get(path), [path]);
  const titles = Object.fromEntries((problems.data?.items || []).map((p) => [p.name, p.title]));
  return html`<${Page} title="Instances" lead="The data decisions are made for: what is stocked, made or generated, at what cost, under which uncertainty."
    actions=${html`<a class="button main" href=${href("/instances/new")}>New instance</a>`}>
    <${Sheet}>
      <div class="row" role="search">
        <div class="field grow"><label for="search">Search by name</label><input id="search" type="search" value=${search} onInput=${(e) => setSearch(e.currentTarget.value)} /></div>
        <div class="field"><label for="problem">Problem</label><select id="problem" value=${problem} onChange=${(e) => go("/instances", { search: settled, problem: e.currentTarget.value }, true)}>
          <option value="">All</option>${Object.entries(titles).map(([name, title]) => html`<option value=${name}>${title}</option>`)}</select></div>
      </div>
      <${Loaded} of=${found} what="the instances">${(first) => html`<${List} key=${path} path=${path} first=${first} titles=${titles} filtered=${Boolean(settled || problem)} />`}<//>
    <//>
  <//>`;
}

const address = (given) => {
  const text = new URLSearchParams(Object.entries(given).filter(([, value]) => value !== "")).toString();
  return text ? `?${text}` : "";
};

function List({ path, first, titles, filtered }) {
  const [more, setMore] = useState({ items: [], cursor: first.next_cursor });
  const items = [...first.items, ...more.items];
  const next = async () => {
    const page = await get(`${path}&cursor=${more.cursor}`);
    setMore({ items: [...more.items, ...page.items], cursor: page.next_cursor });
  };
  if (!items.length) {
    return html`<${Empty}>${filtered ? html`<p>No instance is called that.</p>` : html`<p>There is no instance yet.</p><a class="button main" href=${href("/instances/new")}>Create one from an example</a>`}<//>`;
  }
  return html`
    <div class="scroll-x"><table>
      <thead><tr><th scope="col">Name</th><th scope="col">Problem</th><th scope="col">Stored</th><th scope="col">Id</th></tr></thead>
      <tbody>${items.map((i) => html`<tr key=${i.id}>
        <td><a href=${href(`/instances/${i.id}`)}>${i.name}</a></td><td>${titles[i.problem] || i.problem}</td>
        <td title=${when(i.created_at)}>${ago(i.created_at)}</td><td class="mono soft">${i.id}</td></tr>`)}</tbody>
    </table></div>
    ${more.cursor && html`<${Act} label="Show more" className="" action=${next} />`}`;
}
