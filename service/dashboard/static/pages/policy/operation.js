// What a policy does over time: ribbons and single paths of its latest evaluation, or a simulation started here.
import { html, useState } from "../../lib/ui.js";
import { create, get } from "../../lib/api.js";
import { useLoad } from "../../lib/load.js";
import { ago, number } from "../../lib/format.js";
import { useRules } from "../../lib/titles.js";
import { href } from "../../lib/router.js";
import { Sheet } from "../../parts/page.js";
import { Empty, Loaded } from "../../parts/notice.js";
import { Act } from "../../parts/dialog.js";
import { JobWatch } from "../../parts/job_watch.js";
import { Paths } from "../../parts/paths.js";

const SCENARIOS = 512;
const SECONDS = 60;

/** The newest evaluation that simulated this version, by the jobs on its instance. */
async function latest(card) {
  const jobs = await get(`/v1/jobs?kind=evaluate&state=succeeded&instance_id=${card.instance_id}&limit=200`);
  const job = jobs.items.find((one) => one.evaluation_id && (one.config.policies || []).includes(card.id));
  if (!job) return null;
  const [evaluation, paths] = await Promise.all([get(`/v1/evaluations/${job.evaluation_id}`), get(`/v1/evaluations/${job.evaluation_id}/paths`)]);
  return { evaluation, paths: ownFirst(paths.paths, `${card.name}:${card.version}`) };
}

const ownFirst = (paths, own) => Object.fromEntries(Object.entries(paths).sort(([a], [b]) => (b === own) - (a === own)));

export function Operation({ card }) {
  const found = useLoad(() => latest(card), [card.id]);
  const rule = useRules(card.problem);
  const [job, setJob] = useState(null);
  const start = async () => {
    const rules = (card.certificate.rules || []).slice(0, 1).map((rule) => rule.name);
    const body = { instance_id: card.instance_id, policies: [card.id], rules, scenarios: SCENARIOS, time_limit: `PT${SECONDS}S` };
    setJob((await create("/v1/evaluations", body)).data.id);
  };
  const ended = () => { setJob(null); found.reload(); };
  return html`<${Sheet} title="Stock, production, storage: what happens over the stages">
    ${job && html`<${JobWatch} id=${job} label="Simulation" onEnd=${ended} />`}
    <${Loaded} of=${found} what="its evaluations">${(known) => (known ? html`
      <p class="soft">From <a href=${href(`/evaluations/${known.evaluation.id}`)}>the evaluation</a> of ${ago(known.evaluation.created_at)} on ${number(known.evaluation.document.scenarios)} scenarios.</p>
      <${Paths} of=${known.paths} label=${(name) => (name.includes(":") ? name : rule(name))} />
      ${!job && html`<${Act} label="Simulate again" className="" action=${start} />`}`
      : !job && html`<${Empty}><p>This version has not been simulated stage by stage yet.</p><${Act} label=${`Simulate ${number(SCENARIOS)} scenarios`} busyLabel="Starting …" action=${start} /><//>`)}<//>
  <//>`;
}
