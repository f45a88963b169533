// The details of a job: name, time, seed and start first; the solver's whole configuration under "More".
import { html } from "../../lib/ui.js";
import { useLoad } from "../../lib/load.js";
import { collect } from "../../lib/api.js";
import { duration, number } from "../../lib/format.js";
import { limitIn, secondsOf } from "../../lib/work.js";
import { SchemaForm } from "../../parts/schema_form.js";

/** The body of POST /v1/jobs: what was left empty is left out. */
export function asRequest(draft, instance, solver) {
  const body = { kind: solver.kind, instance_id: instance.id, solver: solver.name, config: draft.config };
  if (draft.minutes !== "") body.time_limit = limitIn(draft.minutes);
  if (draft.seed !== "") body.seed = Number.isInteger(Number(draft.seed)) ? Number(draft.seed) : draft.seed;
  if (solver.kind !== "train") return body;
  if (draft.policyName) body.policy_name = draft.policyName;
  if (draft.warmStart) body.warm_start = draft.warmStart;
  if (draft.device) body.device = draft.device;
  if (draft.also.length) body.also_instance_ids = draft.also;
  return body;
}

function Field({ id, label, help, pointer, errors, children }) {
  const faults = errors.filter((e) => e.pointer === pointer || e.pointer.startsWith(`${pointer}/`));
  const about = [help && `${id}-help`, faults.length && `${id}-fault`].filter(Boolean).join(" ") || undefined;
  return html`<div class="field"><label for=${id}>${label}</label>${children({ id, "aria-describedby": about, "aria-invalid": faults.length ? "true" : undefined })}
    ${help && html`<span class="help" id=${`${id}-help`}>${help}</span>`}
    ${faults.length > 0 && html`<span class="fault" id=${`${id}-fault`}>${faults.map((f) => f.detail).join(" ")}</span>`}</div>`;
}

export function Details({ known, instance, solver, fit, marks, draft, change, errors }) {
  const trains = solver.kind === "train";
  const text = (name) => (shared) => html`<input ...${shared} type="text" autocomplete="off" value=${draft[name]} onInput=${(e) => change({ [name]: e.currentTarget.value.trim() })} />`;
  const limit = secondsOf(known.limits.default_time_limit);
  const inMore = errors.some((e) => e.pointer.startsWith("/config"));
  return html`<div class="form">
      ${trains && html`<${Field} id="policy-name" label="Name of the policy" pointer="/policy_name" errors=${errors} help=${`Lower case, digits, - and _. Left empty: ${instance.name}-${solver.name}. A name in use gets a new version.`}>${text("policyName")}<//>`}
      <${Field} id="minutes" label="Time limit in minutes" pointer="/time_limit" errors=${errors} help=${`Left empty: ${duration(limit)}. When it is up, the best found until then is kept.`}>${text("minutes")}<//>
      <${Field} id="seed" label="Seed" pointer="/seed" errors=${errors} help="Left empty, one is drawn and recorded. The same seed gives the same policy.">${text("seed")}<//>
      ${trains && html`<${WarmStart} ...${{ instance, solver, draft, change, errors }} />`}
      ${trains && html`<${Field} id="device" label="Compute on" pointer="/device" errors=${errors} help="A GPU of its own is given by workers that have one; the job waits until one is free.">${(shared) => html`
        <select ...${shared} value=${draft.device} onChange=${(e) => change({ device: e.currentTarget.value })}><option value="">What the worker has free</option><option value="gpu">A GPU of its own</option><option value="cpu">The processor</option></select>`}<//>`}
    </div>
    ${trains && marks && html`<p class="soft small">The learning curve will show what there is to beat: ${[marks.rule !== null && `the best classical rule costs ${number(marks.rule)} a stage`, marks.bound !== null && `the lower bound is ${number(marks.bound)}`].filter(Boolean).join(", ")} (known from ${marks.from}).</p>`}
    ${trains && !marks && fit.rules.length > 0 && html`<div class="field"><label><input type="checkbox" checked=${draft.rulesFirst} aria-describedby="first-help" onChange=${(e) => change({ rulesFirst: e.currentTarget.checked })} /> Measure the classical rules and the lower bound first</label>
      <span class="help" id="first-help">An evaluation of at most a minute, queued before: the learning curve then shows from the start what there is to beat. The training compares with them at its end in any case.</span></div>`}
    <details open=${inMore || undefined}><summary>More: every setting of ${solver.title}${Object.keys(draft.config).length ? ` (${number(Object.keys(draft.config).length)} set)` : ""}</summary>
      <div class="stack more">
        <${SchemaForm} schema=${solver.config_schema} value=${draft.config} errors=${errors} prefix="/config" id="config" onChange=${(config) => change({ config })} />
        ${trains && html`<${AlsoOn} ...${{ known, instance, draft, change, errors }} />`}
        <div><button type="button" disabled=${!Object.keys(draft.config).length} onClick=${() => change({ config: {} })}>Back to the defaults</button></div>
      </div></details>`;
}

function WarmStart({ instance, solver, draft, change, errors }) {
  const found = useLoad(() => collect(`/v1/policies?problem=${instance.problem}&solver=${solver.name}`, 200), [instance.problem, solver.name]);
  const list = found.data || [];
  const unlisted = draft.warmStart && !list.some((p) => p.id === draft.warmStart);
  return html`<${Field} id="warm-start" label="Start from" pointer="/warm_start" errors=${errors} help=${list.length ? "Training goes on from a policy by the same solver." : "No policy by this solver is there to start from."}>${(shared) => html`
    <select ...${shared} value=${draft.warmStart} onChange=${(e) => change({ warmStart: e.currentTarget.value })}><option value="">Nothing: from scratch</option>
      ${unlisted && html`<option value=${draft.warmStart}>${draft.warmStart}</option>`}
      ${list.map((p) => html`<option value=${p.id}>${p.name}, version ${p.version}</option>`)}</select>`}<//>`;
}

function AlsoOn({ known, instance, draft, change, errors }) {
  const others = known.instances.filter((one) => one.problem === instance.problem && one.id !== instance.id);
  if (!others.length) return null;
  const faults = errors.filter((e) => e.pointer.startsWith("/also_instance_ids"));
  const toggle = (id, on) => change({ also: on ? [...draft.also, id] : draft.also.filter((other) => other !== id) });
  return html`<fieldset class="options"><legend>Train on other instances too</legend><span class="help soft">One policy for several instances, by solvers and policy families whose weights fit them all.</span>
    ${others.slice(0, 50).map((one) => html`<label key=${one.id} class="plain"><input type="checkbox" checked=${draft.also.includes(one.id)} onChange=${(e) => toggle(one.id, e.currentTarget.checked)} /> ${one.name}</label>`)}
    ${faults.length > 0 && html`<span class="fault">${faults.map((f) => f.detail).join(" ")}</span>`}</fieldset>`;
}
