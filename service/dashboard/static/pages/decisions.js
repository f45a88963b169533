// The history of decisions: what was recommended, when, by which policy, and what the planner made of it.
import { html, useEffect, useState } from "../lib/ui.js";
import { get } from "../lib/api.js";
import { when, words } from "../lib/format.js";
import { useLoad } from "../lib/load.js";
import { go } from "../lib/router.js";
import { Empty, Loaded, Problem } from "../parts/notice.js";
import { Page } from "../parts/page.js";
import { Grid, numeric } from "../parts/grid.js";

const OUTCOMES = [["", "any"], ["pending", "not judged yet"], ["accepted", "accepted"], ["overridden", "overridden"], ["rejected", "rejected"]];
const PAGE = 100;

export default function Decisions({ query }) {
  const filter = { policy: query.policy || "", outcome: query.outcome || "" };
  const set = (change) => go("/decisions", { ...filter, ...change }, true);
  return html`<${Page} title="Decisions" crumbs=${[["Decide", "#/decide"]]} lead="Every recommendation, newest first, and what became of it.">
    <div class="row">
      <div class="field"><label for="by">Policy</label><input id="by" size="34" value=${filter.policy} placeholder="any; a name, name:2 or name@alias" onChange=${(e) => set({ policy: e.currentTarget.value.trim() })} /></div>
      <div class="field"><label for="outcome">Outcome</label><select id="outcome" value=${filter.outcome} onChange=${(e) => set({ outcome: e.currentTarget.value })}>
        ${OUTCOMES.map(([value, text]) => html`<option value=${value}>${text}</option>`)}</select></div>
    </div>
    <${List} key=${`${filter.policy} ${filter.outcome}`} filter=${filter} />
  <//>`;
}

function List({ filter }) {
  const path = `/v1/recommendations?${new URLSearchParams(Object.entries({ ...filter, limit: PAGE }).filter(([, v]) => v))}`;
  const first = useLoad(() => get(path), [path]);
  const [more, setMore] = useState([]);
  const [cursor, setCursor] = useState(null);
  const [error, setError] = useState(null);
  useEffect(() => { setMore([]); setCursor(first.data?.next_cursor ?? null); }, [first.data]);
  const next = () => get(`${path}&cursor=${cursor}`, { quiet: true }).then((page) => { setMore((old) => [...old, ...page.items]); setCursor(page.next_cursor); setError(null); }, setError);
  return html`<${Loaded} of=${first} what="the decisions">${(page) => {
    const items = [...page.items, ...more];
    if (!items.length) return html`<${Empty}><p>${filter.policy || filter.outcome ? "No recommendation fits." : "Nothing has been recommended yet."}</p><a class="button main" href="#/decide">Decide</a><//>`;
    return html`<${Grid} label="Decisions" columns=${COLUMNS} rows=${items.map(row)} height=${520} onOpen=${({ id }) => go(`/decisions/${id}`)} />
      <${Problem} error=${error} />
      <div class="row"><span class="soft small">${items.length} shown.</span>${cursor && html`<button onClick=${next}>Older ones</button>`}</div>`;
  }}<//>`;
}

const link = ({ value, data }) => {
  const element = document.createElement("a");
  element.href = `#/decisions/${data.id}`;
  element.textContent = value;
  return element;
};
const COLUMNS = [
  { field: "when", headerName: "Asked", cellRenderer: link, filter: false, minWidth: 186 },
  { field: "policy", headerName: "Policy", filter: false, minWidth: 100 },
  numeric({ field: "states", headerName: "States", filter: false, minWidth: 78, maxWidth: 100 }),
  { field: "outcome", headerName: "Outcome", filter: false, minWidth: 146, cellClass: ({ value }) => `outcome ${value}`, valueFormatter: ({ value }) => (value === "pending" ? "Not judged yet" : words(value)) },
  numeric({ field: "regret", headerName: "Replayed difference", filter: false, minWidth: 112, headerTooltip: "Mean cost of the planner's decision less that of the recommended one, on the same scenarios" }),
  { field: "note", headerName: "Reason", filter: false, flex: 2, minWidth: 120, tooltipField: "note", valueFormatter: ({ value }) => value || "–" },
];

const row = (item) => ({
  id: item.id, when: when(item.created_at), policy: item.policy ? `${item.policy.name}:${item.policy.version}` : item.policy_id,
  states: item.states, outcome: item.outcome?.outcome ?? "pending", regret: item.replay?.difference.mean ?? null, note: item.outcome?.note ?? "",
});
