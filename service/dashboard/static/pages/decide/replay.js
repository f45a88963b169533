// The replayed regret of an override: both decisions played on the same scenarios, the policy deciding afterwards.
import { html, useState } from "../../lib/ui.js";
import { create } from "../../lib/api.js";
import { interval, number, percent } from "../../lib/format.js";
import { Act } from "../../parts/dialog.js";
import { JobWatch } from "../../parts/job_watch.js";

export function Replay({ record, reload }) {
  const [job, setJob] = useState(null);
  const start = async () => setJob((await create(`/v1/recommendations/${record.id}/replay`, {})).data.id);
  return html`<section class="stack" aria-label="Replay">
    <h3>Was it worth it?</h3>
    ${record.replay && html`<${Verdict} of=${record.replay} />`}
    ${job ? html`<${JobWatch} id=${job} label="Replay" onEnd=${(ended) => { if (ended.state === "succeeded") setJob(null); reload(); }} />`
      : html`<${Act} className="" label=${record.replay ? "Replay again" : "Replay both decisions"} busyLabel="Starting …" action=${start} />`}
    <p class="small soft">Your decision and the recommended one are played from this state on the same scenarios; afterwards the policy decides in both.</p>
  </section>`;
}

function Verdict({ of: { difference, own, recommended, scenarios, from_stage: from, to_stage: to } }) {
  const [low, high] = difference.ci95;
  const text = low > 0 ? "Your decision costs more than the recommended one." : high < 0 ? "Your decision is cheaper than the recommended one." : "The two cannot be told apart on these scenarios.";
  return html`<p><b>${text}</b> Mean cost of ${number(to - from)} stages from stage ${from} on, with 95 % intervals:</p>
    <dl>
      <dt>Yours</dt><dd>${interval(own.mean_cost, own.ci95)}</dd>
      <dt>Recommended</dt><dd>${interval(recommended.mean_cost, recommended.ci95)}</dd>
      <dt>Difference</dt><dd><b>${interval(difference.mean, difference.ci95)}</b></dd>
      <dt>Scenarios</dt><dd>${number(scenarios)}; the recommended one is cheaper in ${percent(difference.wins, 0)} of them</dd>
    </dl>`;
}
