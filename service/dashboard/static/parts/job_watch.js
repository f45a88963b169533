// A job in a line, live, until it ends.
import { html, useEffect, useRef } from "../lib/ui.js";
import { post } from "../lib/api.js";
import { href } from "../lib/router.js";
import { duration, percent } from "../lib/format.js";
import { useHistory } from "../lib/history.js";
import { useGet } from "../lib/load.js";
import { doing, fractionOf, isFinished, titleOf } from "../lib/work.js";
import { Loaded, Problem, Tag } from "./notice.js";
import { Act } from "./dialog.js";

/** Progress of a job; `onEnd(job)` once it has ended, with the job as the API has it. */
export function JobWatch({ id, label, onEnd = () => {} }) {
  const job = useGet(`/v1/jobs/${id}`);
  const [history] = useHistory(id);
  const told = useRef(null);
  useEffect(() => { if (history.end) job.reload(); }, [history.end]);
  useEffect(() => {
    if (!job.data || told.current === id || !isFinished(job.data)) return;
    told.current = id;
    onEnd(job.data);
  }, [job.data]);
  return html`<${Loaded} of=${job} what="the job">${(found) => html`<${Line} label=${label} job=${{
    ...found, state: isFinished(found) ? found.state : history.end?.state || history.states.at(-1)?.state || found.state, progress: history.progress || found.progress,
  }} />`}<//>`;
}

function Line({ job, label = titleOf(job) }) {
  const running = !isFinished(job);
  const share = fractionOf(job);
  const cancel = () => post(`/v1/jobs/${job.id}/cancel`);
  return html`<div class="stack">
    <div class="row apart"><span><a href=${href(`/jobs/${job.id}`)}>${label}</a> <${Tag} state=${job.state} /> <span class="soft small number" role="status">${running ? [doing(job.progress), share === null ? "" : percent(share, 0), job.progress?.eta_seconds > 0 && `about ${duration(job.progress.eta_seconds)} left`].filter(Boolean).join(" · ") : ""}</span></span>
      ${running && job.state !== "cancelling" && html`<${Act} label="Cancel" className="quiet" action=${cancel} />`}</div>
    ${running && html`<div class="progress" role="progressbar" aria-label=${`Progress of ${label}`} aria-valuenow=${Math.round(100 * (share || 0))} aria-valuemin="0" aria-valuemax="100"><div style=${{ width: `${100 * (share || 0)}%` }}></div></div>`}
    ${job.error && html`<${Problem} error=${{ title: job.error.title, message: job.error.detail, errors: job.error.errors }} />`}
  </div>`;
}
