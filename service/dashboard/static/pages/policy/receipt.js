// What a policy was made from, and what making it again showed.
import { html, useState } from "../../lib/ui.js";
import { create } from "../../lib/api.js";
import { interval, number, when, words } from "../../lib/format.js";
import { Act } from "../../parts/dialog.js";
import { JobWatch } from "../../parts/job_watch.js";

export function Receipt({ card, reload }) {
  const { receipt, reproduction } = card;
  if (!receipt) return html`<p class="soft">This policy was made before receipts were kept: it cannot be made again from what is stored.</p>`;
  const { code, dependencies, platform } = receipt;
  const rows = [
    ["Code", html`${code.commit && html`commit <code class="small">${code.commit.slice(0, 12)}</code> `}<code class="small">${code.digest}</code>`],
    ["Dependencies", html`${number(Object.keys(dependencies.packages).length)} packages, torch ${dependencies.packages.torch} <code class="small">${dependencies.digest}</code>`],
    ["On", [platform.device, platform.gpu || platform.cpu, `${platform.threads} ${platform.threads === 1 ? "thread" : "threads"}`, platform.ranks > 1 && `${platform.ranks} processes`, platform.instructions, platform.blas].filter(Boolean).join(", ")],
    ["With", `Python ${platform.python} on ${platform.system}`],
    ["Ran", `${number(receipt.steps)} steps${receipt.resumed ? ", from a checkpoint" : ""}`],
    ["Weights", html`<code class="small">${receipt.weights}</code>`],
  ];
  return html`<dl>${rows.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>
    <details><summary>Every package</summary><p class="small number">${Object.entries(dependencies.packages).map(([name, version]) => `${name} ${version}`).join(", ")}</p></details>
    ${reproduction && html`<section class="stack" aria-label="Made again"><h3>Made again ${when(reproduction.at)}</h3><${Reproduction} of=${reproduction} /></section>`}
    ${receipt.of_rule ? html`<p class="small soft">A classical rule, tuned beside a training: make the trained policy again instead.</p>` : html`<${Again} card=${card} reload=${reload} />`}`;
}

function Again({ card, reload }) {
  const [job, setJob] = useState(null);
  const start = async () => setJob((await create(`/v1/policies/${card.id}/reproduce`, {})).data.id);
  return html`<div class="stack">${job ? html`<${JobWatch} id=${job} label="Reproduction" onEnd=${(ended) => { if (ended.state === "succeeded") setJob(null); reload(); }} />`
    : html`<${Act} className="" label="Make it again" busyLabel="Starting …" action=${start} />`}
    <p class="small soft">The training is run again from this receipt, as many steps as then, and the two policies are compared.</p></div>`;
}

const VERDICTS = {
  identical: ["good", "The same policy, bit by bit."],
  same_cost: ["warn", "Other weights, but the costs cannot be told apart."],
  other_cost: ["bad", "Another policy, of another cost."],
};

/** What a repetition showed: the verdict, how far weights are apart, both certificates, what differs by now. */
export function Reproduction({ of }) {
  const [tone, text] = VERDICTS[of.verdict] || ["", words(of.verdict)];
  const { weights, difference } = of;
  return html`<p class="notice ${tone}"><strong>${text}</strong>
      ${!weights.identical && html`<span>${weights.largest_difference === null ? "Their weights do not fit each other" : `The largest difference of two weights is ${number(weights.largest_difference, 3)}`} (in ${weights.where}).</span>`}
      ${difference && html`<span>On the same ${number(difference.scenarios)} scenarios it costs ${interval(difference.mean, difference.ci95)} more.</span>`}</p>
    <div class="scroll-x" tabindex="0" role="region" aria-label="Both certificates"><table>
      <thead><tr><th>Cost</th><th class="number">Then</th><th class="number">Now</th><th class="number">Now less then</th></tr></thead>
      <tbody>${of.certificate.map((row) => html`<tr><td>${words(row.name)}</td><td class="number">${number(row.then?.value)}</td><td class="number">${number(row.now?.value)}</td><td class="number">${row.difference ? interval(row.difference.mean, row.difference.ci95) : "–"}</td></tr>`)}</tbody></table></div>
    ${of.receipt.length > 0 && html`<div class="scroll-x" tabindex="0" role="region" aria-label="What differs now"><table><thead><tr><th>Differs now</th><th>Then</th><th>Now</th></tr></thead>
      <tbody>${of.receipt.map((row) => html`<tr><td>${row.part === "code" ? "code of " : ""}${row.name}</td><td><code class="small">${(row.then ?? "–").slice(0, 24)}</code></td><td><code class="small">${(row.now ?? "–").slice(0, 24)}</code></td></tr>`)}</tbody></table></div>`}
    ${of.remarks.map((remark) => html`<p class="small soft">${remark}</p>`)}`;
}
