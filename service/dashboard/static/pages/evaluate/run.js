// A comparison as it runs, instance by instance, and its outcome side by side. Its jobs stand in the address.
import { html, useMemo, useState } from "../../lib/ui.js";
import { get, saveBlob } from "../../lib/api.js";
import { csv } from "../../lib/csv.js";
import { number } from "../../lib/format.js";
import { useLoad } from "../../lib/load.js";
import { JobWatch } from "../../parts/job_watch.js";
import { Loaded } from "../../parts/notice.js";
import { Page, Sheet, Tabs } from "../../parts/page.js";
import { Evaluation, entriesOf } from "./view.js";

export default function Run({ query }) {
  const ids = (query.jobs || "").split(",").filter(Boolean);
  return html`<${Page} title="Comparison" crumbs=${[["Evaluate", "#/evaluate"]]} lead="It goes on while this page is closed; keep the address to come back.">
    <${Running} key=${query.jobs} ids=${ids} />
  <//>`;
}

/** What jobs evaluated: {done: [{instance, evaluation}], watch}; `watch` draws those jobs and collects their outcome. */
export function useOutcomes(ids) {
  const jobs = useLoad(() => Promise.all(ids.map((id) => get(`/v1/jobs/${id}`))), [ids.join()]);
  const names = useLoad(async () => {
    const wanted = [...new Set((jobs.data || []).map((job) => job.instance_id))];
    return new Map((await Promise.all(wanted.map((id) => get(`/v1/instances/${id}`, { quiet: true })))).map((i) => [i.id, i]));
  }, [jobs.data]);
  const [ended, setEnded] = useState({});
  const done = useLoad(() => Promise.all(ids.filter((id) => ended[id]).map((id) => get(`/v1/evaluations/${ended[id]}`))), [JSON.stringify(ended)]);
  const watch = html`<${Loaded} of=${jobs} what="the jobs">${(list) => list.map((job) => html`<${JobWatch} key=${job.id} id=${job.id} label=${names.data?.get(job.instance_id)?.name ?? "…"}
    onEnd=${(end) => end.evaluation_id && setEnded((old) => ({ ...old, [end.id]: end.evaluation_id }))} />`)}<//>`;
  const outcomes = names.data?.size && done.data ? done.data.map((evaluation) => ({ evaluation, instance: names.data.get(evaluation.instance_id) })) : [];
  return { watch, outcomes, error: done.error || names.error };
}

function Running({ ids }) {
  const { watch, outcomes } = useOutcomes(ids);
  const [tab, setTab] = useState("");
  return html`
    <${Sheet} title="Jobs">${watch}<//>
    ${outcomes.length > 1 && html`<${Sheet} title="Side by side"><${Across} outcomes=${outcomes} /><//>`}
    ${outcomes.length > 1 && html`<${Tabs} label="Instances" current=${tab} onChange=${setTab} tabs=${outcomes.map(({ instance, evaluation }) => [evaluation.id, instance.name, () => html`<${Evaluation} of=${evaluation} />`])} />`}
    ${outcomes.length === 1 && html`<${Evaluation} of=${outcomes[0].evaluation} />`}`;
}

/** Mean cost a stage of every policy on every instance, the cheapest of each instance marked. */
function Across({ outcomes }) {
  const table = useMemo(() => {
    const columns = outcomes.map(({ instance, evaluation }) => ({ name: instance.name, entries: new Map(entriesOf(evaluation.document).map((e) => [e.label, e])) }));
    return { columns, labels: [...new Set(columns.flatMap((c) => [...c.entries.keys()]))] };
  }, [outcomes]);
  const cheapest = table.columns.map((c) => Math.min(...[...c.entries.values()].map((e) => e.mean_cost)));
  const half = (e) => ((e.ci95[1] - e.ci95[0]) / 2) * (e.mean_cost ? e.mean_cost_per_stage / e.mean_cost : 1);
  const save = () => saveBlob(csv([["Policy", "Instance", "Mean cost", "95 % from", "95 % to", "Mean cost a stage"],
    ...table.labels.flatMap((label) => table.columns.filter((c) => c.entries.has(label)).map((c) => { const e = c.entries.get(label); return [label, c.name, e.mean_cost, ...e.ci95, e.mean_cost_per_stage]; }))]), "comparison.csv");
  return html`<p class="soft">Mean cost a stage with its 95 % interval; the cheapest on each instance is bold.</p>
    <div class="scroll figures" tabindex="0" role="region" aria-label="Policies by instances"><table>
      <thead><tr><th>Policy</th>${table.columns.map((c) => html`<th class="number">${c.name}</th>`)}</tr></thead>
      <tbody>${table.labels.map((label) => html`<tr><td>${label}</td>${table.columns.map((c, i) => { const e = c.entries.get(label); return html`<td class="number">${e ? (e.mean_cost === cheapest[i] ? html`<b>${number(e.mean_cost_per_stage)}</b>` : number(e.mean_cost_per_stage)) : "–"}${e && html` <span class="soft small">± ${number(half(e), 2)}</span>`}</td>`; })}</tr>`)}</tbody>
    </table></div>
    <div class="row"><button onClick=${save}>Save as CSV</button></div>`;
}
