// Jobs: what is queued, runs and ran.
import { html } from "../lib/ui.js";
import { go, href } from "../lib/router.js";
import { useEvery, useGet } from "../lib/load.js";
import { usePages } from "../lib/pages.js";
import { useTitles } from "../lib/titles.js";
import { ago, duration, percent, shortId, when, words } from "../lib/format.js";
import { FINISHED, UNFINISHED, doing, elapsed, fractionOf, isFinished, kindOf, short, titleOf } from "../lib/work.js";
import { Page, Sheet, Stat } from "../parts/page.js";
import { Empty, Problem, Tag } from "../parts/notice.js";

const FRESH_MS = 3000;
const STATES = [["", "Any state"], ["unfinished", "Waiting or running"], ...FINISHED.map((state) => [state, words(state)])];
const KINDS = [["", "Any kind"], ...["train", "evaluate", "solve", "accept", "replay", "reproduce"].map((kind) => [kind, kindOf(kind)])];

function pathOf({ state, kind, instance }) {
  const asked = new URLSearchParams();
  for (const one of state === "unfinished" ? UNFINISHED : state ? [state] : []) asked.append("state", one);
  if (kind) asked.append("kind", kind);
  if (instance) asked.append("instance_id", instance);
  return `/v1/jobs${asked.size ? `?${asked}` : ""}`;
}

export default function Jobs({ query }) {
  const queue = useGet("/v1/queue");
  const jobs = usePages(pathOf(query), FRESH_MS);
  useEvery(FRESH_MS, queue.reload);
  const choose = (change) => go("/jobs", { ...query, ...change }, true);
  return html`<${Page} title="Jobs" crumbs=${[["Train", href("/train")]]} lead="Trainings, evaluations, bounds and plans: they go on while no page is open."
      actions=${html`<a class="button main" href=${href("/train", { instance: query.instance })}>New training</a>`}>
    ${queue.data && html`<div class="row tally"><${Stat} label="Waiting" value=${queue.data.queued} /><${Stat} label="Running" value=${queue.data.active} /></div>`}
    <${Sheet}>
      <div class="row">
        <${Choice} id="state" label="State" options=${STATES} value=${query.state} onChange=${(state) => choose({ state })} />
        <${Choice} id="kind" label="Kind" options=${KINDS} value=${query.kind} onChange=${(kind) => choose({ kind })} />
        ${query.instance && html`<span class="soft">On <a href=${href(`/instances/${query.instance}`)}>${shortId(query.instance)}</a>
          <button class="quiet" onClick=${() => choose({ instance: "" })}>Any instance</button></span>`}
      </div>
      <${Problem} error=${jobs.error} retry=${jobs.reload} />
      ${jobs.items === undefined && !jobs.error && html`<p class="busy" role="status">Reading the jobs …</p>`}
      ${jobs.items?.length === 0 && html`<${Empty}><p>No job is like that.</p>${!query.state && !query.kind && html`<a class="button" href="#/train">Train a first policy</a>`}<//>`}
      ${jobs.items?.length > 0 && html`<${Rows} jobs=${jobs.items} />`}
      ${jobs.more && html`<div><button onClick=${jobs.more} disabled=${jobs.busy}>Show more</button></div>`}
    <//>
  <//>`;
}

const Choice = ({ id, label, options, value, onChange }) => html`<label for=${id}>${label}</label>
  <select id=${id} value=${value || ""} onChange=${(e) => onChange(e.currentTarget.value)}>${options.map(([key, text]) => html`<option value=${key}>${text}</option>`)}</select>`;

function Rows({ jobs }) {
  const title = useTitles();
  return html`<div class="scroll-x" tabindex="0" role="region" aria-label="Jobs"><table>
  <thead><tr><th>Job</th><th>State</th><th>Solver</th><th>Submitted</th><th class="number">Took</th><th>Result</th></tr></thead>
  <tbody>${jobs.map((job) => html`<${Row} key=${job.id} job=${job} title=${title} />`)}</tbody></table></div>`;
}

function Row({ job, title }) {
  const share = fractionOf(job);
  const shows = !isFinished(job) && job.state !== "queued" && share !== null;
  return html`<tr>
    <td><a href=${href(`/jobs/${job.id}`)}>${titleOf(job, title)}</a>${job.retry_of && html` <span class="soft small">repeated</span>`}</td>
    <td><${Tag} state=${job.state} />${shows && html` <span class="soft small number">${percent(share, 0)} ${doing(job.progress)}</span>`}</td>
    <td>${job.solver ? short(title(job.solver)) : "–"}</td>
    <td class="nowrap" title=${when(job.created_at)}>${ago(job.created_at)}</td>
    <td class="number">${duration(elapsed(job))}</td>
    <td>${resultOf(job)}</td></tr>`;
}

function resultOf(job) {
  if (job.policy_id) return html`<a href=${href(`/policies/${job.policy_id}`)}>Policy</a>`;
  if (job.evaluation_id) return html`<a href=${href(`/evaluations/${job.evaluation_id}`)}>Evaluation</a>`;
  if (job.error) return html`<span class="soft">${job.error.title}</span>`;
  return job.kind === "solve" && job.state === "succeeded" ? html`<a href=${href(`/jobs/${job.id}`)}>Outcome</a>` : "–";
}
