// What became of a finished job: a policy with its verdict, an evaluation, or a bound or plan.
import { html } from "../../lib/ui.js";
import { href } from "../../lib/router.js";
import { useGet } from "../../lib/load.js";
import { useRules } from "../../lib/titles.js";
import { number, percent, words } from "../../lib/format.js";
import { verdict } from "../../lib/work.js";
import { Sheet, Stat } from "../../parts/page.js";
import { Loaded } from "../../parts/notice.js";
import { Drawing, Chart } from "../../parts/chart.js";
import { Verdict } from "../policy/acceptance.js";
import { Reproduction } from "../policy/receipt.js";

/** The outcome of a finished job; nothing where it has none. */
export function Outcome({ job, problem }) {
  if (job.state === "failed" || (job.state === "cancelled" && !job.policy_id)) return null;
  return html`<${Shown} job=${job} problem=${problem} />`;
}

function Shown({ job, problem }) {
  const result = useGet(`/v1/jobs/${job.id}/result`);
  const Kind = { train: Trained, solve: Solved, accept: Accepted, replay: Replayed, reproduce: Reproduced }[job.kind];
  return html`<${Loaded} of=${result} what="what it found">${(found) => (Kind ? html`<${Kind} job=${job} result=${found} problem=${problem} />`
    : job.evaluation_id && html`<div class="notice good"><strong>The comparison is ready.</strong><div><a class="button main" href=${href(`/evaluations/${job.evaluation_id}`)}>Open it</a></div></div>`)}<//>`;
}

function Trained({ result, problem }) {
  const rule = useRules(problem);
  const { policy, certificate } = result;
  const good = result.recommended_for_use;
  return html`<div class="notice ${good ? "good" : "warn"}">
    <strong>${good ? `Policy ${policy.name}, version ${policy.version}, is ready.` : `Policy ${policy.name}, version ${policy.version}, is not recommended for use.`}</strong>
    <span>${verdict(certificate, rule)}</span>
    ${result.better_rule && html`<span>A classical rule does better: it is kept as a policy of its own, to be asked in the same way.</span>`}
    ${!good && !result.better_rule && html`<span>${(certificate.missed_targets || []).length ? `It misses a target: ${certificate.missed_targets.join(", ")}.` : "It was stopped before it was compared with the classical rules."}</span>`}
    <div class="row"><a class="button main" href=${href(`/policies/${policy.id}`)}>Open the policy</a>
      ${result.better_rule && html`<a class="button" href=${href(`/policies/${result.better_rule}`)}>Open the better rule</a>`}</div></div>`;
}

const Accepted = ({ result }) => html`<${Sheet} title="Verdict">${result.verdict ? html`<${Verdict} verdict=${{ ...result.verdict, evaluation_id: result.evaluation_id }} />` : html`<p class="soft">It ended before there was a verdict.</p>`}<//>`;

/** What the planner's own decision cost beside the recommended one: the interval says whether that is more than chance. */
function Replayed({ job, result }) {
  const { difference, scenarios } = result.replay || {};
  return html`<div class="notice"><strong>The planner's own decision was played beside the recommended one.</strong>
    ${difference && html`<span>It costs ${number(difference.mean)} more, 95 % interval ${number(difference.ci95[0])} to ${number(difference.ci95[1])}, on ${number(scenarios)} scenarios.</span>`}
    <div><a class="button main" href=${href(`/decisions/${job.config.recommendation_id}`)}>Open the decision</a></div></div>`;
}

const Reproduced = ({ job, result }) => html`<${Sheet} title="Made again">${result.reproduction ? html`<${Reproduction} of=${result.reproduction} />` : html`<p class="soft">It was stopped before it had done what the first run did.</p>`}
  <div><a class="button main" href=${href(`/policies/${job.config.policies[0]}`, { tab: "training" })}>Open the policy</a></div><//>`;

const STATUS = {
  optimal: ["good", "Solved to the end."], infeasible: ["warn", "There is no feasible plan: the instance's limits are at odds. That is an answer, not a fault."],
  unbounded: ["warn", "The cost has no lower limit: some price makes it pay to go on for ever."],
  time_limit: ["warn", "Its time was up: what follows is the best found and proven until then."], stopped: ["warn", "It stopped before the end: what follows is the best found and proven until then."],
};

function Solved({ result }) {
  const { status, document = {} } = result;
  const [tone, text] = STATUS[status] || ["", words(status)];
  return html`<${Sheet} title=${document.kind ? words(document.kind) : "Outcome"}>
    <p class="notice ${tone}">${text}</p>
    <div class="row tally">${Headline(document)}</div>
    ${(document.relaxes || []).length > 0 && html`<p class="soft">To be solved, it lets go of: ${document.relaxes.join("; ")}.</p>`}
    ${document.details?.meaning && html`<p class="soft">Meaning: ${document.details.meaning}.</p>`}
    ${document.bounds && html`<${Bounds} of=${document} />`}
    ${document.shadow_prices && html`<${Prices} of=${document.shadow_prices} />`}
    ${document.plan?.length > 0 && html`<${Plan} plan=${document.plan} />`}
    ${document.reason && html`<p>${document.reason}</p>`}
    <details><summary class="small">The whole document</summary><pre class="scroll" tabindex="0">${JSON.stringify(result, null, 2)}</pre></details>
  <//>`;
}

function Headline(document) {
  const perStage = document.value_per_stage;
  const error = document.standard_error_per_stage ?? document.standard_error;
  return [
    perStage !== undefined && html`<${Stat} label=${document.exact ? "Optimum a stage" : "No policy can cost less, a stage"} value=${number(perStage)} note=${document.value !== undefined && `${number(document.value)} in total`} />`,
    error > 0 && html`<${Stat} label="Standard error" value=${number(error, 2)} />`,
    document.planned_cost !== undefined && document.planned_cost !== null && html`<${Stat} label="Cost of the plan" value=${number(document.planned_cost)} note="if the future were its mean" />`,
    document.planned_cost_bound !== undefined && document.planned_cost_bound !== null && html`<${Stat} label="No such plan costs less than" value=${number(document.planned_cost_bound)} />`,
    document.gap !== undefined && document.gap !== null && html`<${Stat} label="Gap of the plan" value=${percent(document.gap)} />`,
    document.scenarios !== undefined && html`<${Stat} label="Scenarios" value=${number(document.scenarios)} note=${document.scenarios_wanted > document.scenarios && `of ${number(document.scenarios_wanted)} wanted`} />`,
  ].filter(Boolean);
}

const Bounds = ({ of }) => html`<div class="scroll-x" tabindex="0" role="region" aria-label="Bounds"><table>
  <thead><tr><th>Bound</th><th class="number">A stage</th><th class="number">Standard error</th><th>How</th></tr></thead>
  <tbody>${of.bounds.map((b) => html`<tr><td>${words(b.kind)}${b.exact ? " (the optimum)" : ""}</td><td class="number">${number(b.value_per_stage)}</td><td class="number">${number(b.standard_error_per_stage, 2)}</td>
    <td class="soft">${b.details?.method || b.source || ""}</td></tr>`)}
  ${Object.entries(of.without || {}).map(([kind, reason]) => html`<tr><td>${words(kind)}</td><td class="number">–</td><td></td><td class="soft">Not here: ${reason}</td></tr>`)}</tbody></table></div>`;

function Prices({ of }) {
  const rows = [...(of.state || []), ...(of.limits || [])].filter((row) => row.saves);
  if (!rows.length) return html`<p class="soft">No limit and no unit of stock would have saved anything.</p>`;
  return html`<details><summary>What one more unit would have saved (${rows.length})</summary><div class="scroll" tabindex="0" role="region" aria-label="Shadow prices"><table>
    <thead><tr><th>Of</th><th class="number">Saves</th><th>95 % interval</th></tr></thead>
    <tbody>${rows.map((row) => html`<tr><td><code>${row.name}</code></td><td class="number">${number(row.saves)}</td><td class="number">${row.ci95 ? `${number(row.ci95[0])} to ${number(row.ci95[1])}` : "–"}</td></tr>`)}</tbody></table></div></details>`;
}

/** A plan: its cost by component as bars, and its lines, whatever they are called. */
function Plan({ plan }) {
  const components = [...new Set(plan.flatMap((p) => Object.keys(p.components || {})))];
  const x = plan.map((p, i) => String(p.period ?? p.stage ?? i));
  const option = ({ base, axis }) => ({
    xAxis: { type: "category", data: x, name: "Stage", nameLocation: "middle", nameGap: 26, ...axis, splitLine: { show: false } },
    yAxis: { type: "value", name: "Cost", ...axis, axisLabel: { ...axis.axisLabel, formatter: (v) => number(v, 4) } }, grid: { ...base.grid, bottom: 30 },
    series: components.map((name) => ({ type: "bar", name: words(name), stack: "cost", data: plan.map((p) => p.components?.[name] ?? 0), barMaxWidth: 26 })),
  });
  const lines = Object.keys(plan[0]).filter((key) => Array.isArray(plan[0][key]) && typeof plan[0][key][0] === "object");
  return html`${components.length > 0 && html`<${Drawing} title="Cost of the plan by stage" table=${{ columns: ["Stage", ...components.map(words)], rows: plan.map((p, i) => [x[i], ...components.map((c) => p.components?.[c] ?? null)]) }}>
      <${Chart} option=${option} keys=${[plan]} height=${260} label="Cost of the plan by stage and component" /><//>`}
    ${lines.map((key) => html`<${Lines} key=${key} name=${key} plan=${plan} x=${x} />`)}`;
}

const MOST = 400;

function Lines({ name, plan, x }) {
  const rows = plan.flatMap((p, i) => (p[name] || []).map((line) => [x[i], line]));
  const columns = [...new Set(rows.flatMap(([, line]) => Object.keys(line)))];
  return html`<details><summary>${words(name)} (${number(rows.length)} lines)</summary><div class="scroll" tabindex="0" role="region" aria-label=${words(name)}><table>
    <thead><tr><th>Stage</th>${columns.map((c) => html`<th>${words(c)}</th>`)}</tr></thead>
    <tbody>${rows.slice(0, MOST).map(([stage, line]) => html`<tr><td>${stage}</td>${columns.map((c) => html`<td class=${typeof line[c] === "number" ? "number" : ""}>${typeof line[c] === "boolean" ? (line[c] ? "yes" : "") : number(line[c])}</td>`)}</tr>`)}</tbody>
  </table></div>${rows.length > MOST && html`<p class="small soft">The first ${MOST} of ${number(rows.length)}.</p>`}</details>`;
}
