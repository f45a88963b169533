// One job: where it stands, what it found so far, its log, and what became of it. Shows the whole past whenever opened.
import { html, useEffect, useState } from "../lib/ui.js";
import { go, href } from "../lib/router.js";
import { create, del, post } from "../lib/api.js";
import { useGet } from "../lib/load.js";
import { useHistory } from "../lib/history.js";
import { useTitles } from "../lib/titles.js";
import { ago, duration, number, percent, shortId, when, words } from "../lib/format.js";
import { doing, elapsed, ending, fractionOf, isFinished, kindOf, limitOf, short, titleOf } from "../lib/work.js";
import { Page, Sheet, Stat } from "../parts/page.js";
import { Loaded, Problem, Tag, toast } from "../parts/notice.js";
import { Act, Confirm } from "../parts/dialog.js";
import { Settings } from "../parts/settings_list.js";
import { LearningCurve, OtherMetrics } from "./job/curve.js";
import { Outcome } from "./job/outcome.js";
import { Log } from "./job/log.js";

export default function Job({ params }) {
  const job = useGet(`/v1/jobs/${params.id}`);
  return html`<${Loaded} of=${job} what="the job">${(found) => html`<${Whole} key=${found.id} job=${found} reload=${job.reload} />`}<//>`;
}

function Whole({ job: read, reload }) {
  const [history, tick, lost] = useHistory(read.id);
  const state = isFinished(read) ? read.state : history.end?.state || history.states.at(-1)?.state || read.state;
  useEffect(() => { if (state !== read.state) reload(); }, [state, history.end]);
  const job = { ...read, state, progress: history.progress || read.progress };
  const title = useTitles();
  const instance = useGet(`/v1/instances/${job.instance_id}`);
  return html`<${Page} title=${titleOf(job, title)} crumbs=${[["Train", "#/train"], ["Jobs", "#/jobs"]]} actions=${html`<${Actions} job=${job} reload=${reload} />`}
      lead=${html`<${Tag} state=${state} /> ${kindOf(job.kind)}${job.solver && job.kind === "train" ? ` by ${short(title(job.solver))}` : ""} on <a href=${href(`/instances/${job.instance_id}`)}>${instance.data?.name || shortId(job.instance_id)}</a>, submitted ${ago(job.created_at)}`}>
    ${job.error && html`<${Failure} job=${job} />`}
    ${state === "cancelled" && !job.policy_id && html`<p class="notice warn">It was cancelled before it had anything to keep.</p>`}
    ${isFinished(read) && html`<${Outcome} job=${job} problem=${instance.data?.problem} />`}
    <${Sheet} title="Where it stands"><${Lifecycle} job=${job} history=${history} /><${Progress} job=${job} />
      ${lost && !isFinished(job) && html`<p class="soft small">The stream of events was lost and is taken up again.</p>`}<//>
    ${job.kind === "train" && html`<${LearningCurve} job=${job} problem=${instance.data?.problem} history=${history} tick=${tick} />`}
    <${OtherMetrics} history=${history} tick=${tick} />
    <div class="columns">
      <${Sheet} title="What was asked"><${Asked} job=${job} instance=${instance.data} /><//>
      <${Sheet} title="Log"><${Log} job=${job} /><//>
    </div>
  <//>`;
}

function Actions({ job, reload }) {
  const cancel = async () => {
    await post(`/v1/jobs/${job.id}/cancel`);
    reload();
  };
  const retry = async () => go(`/jobs/${(await create(`/v1/jobs/${job.id}/retry`)).data.id}`);
  const remove = async () => {
    await del(`/v1/jobs/${job.id}`);
    toast("The job was deleted; what it made stays.");
    go("/jobs");
  };
  if (!isFinished(job)) {
    const text = job.kind === "train" ? "It stops soon, and the best policy so far is kept and judged on a few scenarios." : "It stops soon; what it has found until then is lost.";
    return html`<${Confirm} label="Cancel" confirm="Cancel the job" title="Cancel this job?" text=${text} action=${cancel} disabled=${job.state === "cancelling"} />`;
  }
  return html`
    ${job.state !== "succeeded" && html`<${Act} label="Try again" className="" action=${retry} />`}
    ${job.kind !== "evaluate" && job.solver && html`<a class="button" href=${href("/train", { instance: job.instance_id, solver: job.solver, like: job.id })}>Change and start again</a>`}
    <${Confirm} label="Delete" title="Delete this job?" text="Its events and log go; the policy or evaluation it made stays." action=${remove} />`;
}

function Failure({ job }) {
  const left = job.state === "failed" ? "" : " It is tried again.";
  return html`<div class="notice bad" role="alert"><strong>${job.error.title}</strong><span>${job.error.detail}${left}</span>
    ${(job.error.errors || []).map((e) => html`<span><code>${e.pointer}</code>: ${e.detail}</span>`)}
    <span class="small soft">The log below has the details${job.max_attempts > 1 ? `; attempt ${job.attempt} of ${job.max_attempts}` : ""}.</span></div>`;
}

const STEPS = ["queued", "starting", "running", "finalizing"];

function Lifecycle({ job, history }) {
  const last = ["failed", "cancelled", "cancelling"].includes(job.state) ? job.state : "succeeded";
  const at = new Map(history.states.map((s) => [s.state, s.at]));
  const reached = (step) => at.has(step) || step === job.state || step === "queued";
  return html`<ol class="lifecycle" aria-label="Lifecycle">
    ${[...STEPS.filter((step) => !isFinished(job) || reached(step)), last].map((step) => html`<li key=${step} class=${step === job.state ? `now ${last}` : reached(step) ? "past" : "later"} aria-current=${step === job.state ? "step" : undefined}>
      <strong>${words(step)}</strong><span class="small soft">${reached(step) && (at.get(step) || step === "queued") ? when(at.get(step) || job.created_at) : " "}</span></li>`)}
  </ol>`;
}

function Progress({ job }) {
  const [now, setNow] = useState(Date.now());
  const running = !isFinished(job);
  useEffect(() => {
    if (!running) return undefined;
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, [running]);
  const progress = job.progress || {};
  const share = fractionOf(job);
  return html`
    ${running && job.state !== "queued" && html`<div class="stack">
      <div class="row apart"><span role="status">${doing(job.progress) || "Getting ready"}</span><span class="soft number">${share === null ? "" : percent(share, 0)}${etaOf(progress)}</span></div>
      <div class="progress" role="progressbar" aria-label="Progress" aria-valuemin="0" aria-valuemax="100" aria-valuenow=${Math.round(100 * (share || 0))}><div style=${{ width: `${100 * (share || 0)}%` }}></div></div></div>`}
    ${job.state === "queued" && html`<p class="soft">${job.waiting_for || "It starts when a worker is free."} You may close this page.</p>`}
    <div class="row tally">
      <${Stat} label=${running ? "Working for" : "Took"} value=${duration(elapsed(job, now))} note=${`at most ${limitOf(job.time_limit)}`} />
      ${progress.best_cost !== undefined && html`<${Stat} label=${running ? "Best cost so far" : "Best cost in training"} value=${number(progress.best_cost)} note="a stage, on training's own scenarios" />`}
      ${progress.bound !== undefined && html`<${Stat} label=${running ? "Bound so far" : "Bound found in training"} value=${number(progress.bound)} note="a stage" />`}
      ${!running && job.stopped_by && html`<${Stat} label="End" value=${{ finished: "Complete", time_limit: "Time limit", request: "Stopped" }[job.stopped_by] || words(job.stopped_by)} note=${ending(job.stopped_by)} />`}
    </div>`;
}

const etaOf = (progress) => (progress.phase === "training" && progress.eta_seconds > 0 ? ` · about ${duration(progress.eta_seconds)} of training left` : "");

function Asked({ job, instance }) {
  const rows = [
    ["Instance", html`<a href=${href(`/instances/${job.instance_id}`)}>${instance?.name || job.instance_id}</a>`],
    job.also_instance_ids.length > 0 && ["Also on", job.also_instance_ids.map((id) => html`<a href=${href(`/instances/${id}`)}>${shortId(id)}</a> `)],
    job.policy_name && ["Policy's name", job.policy_name],
    job.warm_start && ["Starts from", html`<a href=${href(`/policies/${job.warm_start}`)}>${shortId(job.warm_start)}</a>`],
    ["Seed", html`<span class="number">${job.seed}</span>`],
    ["Time limit", limitOf(job.time_limit)],
    job.retry_of && ["Repeats", html`<a href=${href(`/jobs/${job.retry_of}`)}>${shortId(job.retry_of)}</a>`],
    ["Job", html`<code>${job.id}</code>`],
  ].filter(Boolean);
  return html`<dl>${rows.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl><${Settings} of=${job.config} />`;
}
