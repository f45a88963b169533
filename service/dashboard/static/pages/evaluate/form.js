// What to compare, on which instances and scenarios; one evaluation job for each instance.
import { html, useMemo, useState } from "../../lib/ui.js";
import { create, get } from "../../lib/api.js";
import { useDraft } from "../../lib/drafts.js";
import { useLoad } from "../../lib/load.js";
import { go } from "../../lib/router.js";
import { useTitles } from "../../lib/titles.js";
import { words } from "../../lib/format.js";
import { limitIn, short } from "../../lib/work.js";
import { Checklist } from "../../parts/checklist.js";
import { Problem } from "../../parts/notice.js";
import { ScenarioSet } from "./scenario_set.js";

export const BLANK = { problem: "", policies: [], instances: [], rules: [], by: "number", scenarios: 1024, seed: "", set: "", minutes: 10 };

export const refOf = (policy) => `${policy.name}:${policy.version}`;

/** A seed for all jobs of one comparison: common random numbers, and the same again on another day. */
export const freshSeed = () => crypto.getRandomValues(new Uint32Array(1))[0] % 2 ** 31;

/** What the API shall be asked for one instance. */
export function bodyOf(draft, instanceId, rules, seed) {
  const scenarios = draft.by === "set" ? { scenario_set_id: draft.set } : { scenarios: Number(draft.scenarios), seed };
  return { instance_id: instanceId, policies: draft.policies, rules, ...scenarios, time_limit: limitIn(draft.minutes) };
}

/** What the address chooses: `policies` (or one `policy`), by name, name:version or id, and an `instance`. */
function withQuery(query, policies, instances) {
  const named = (query.policies || query.policy || "").split(",").filter(Boolean);
  const chosen = named.map((name) => policies.find((p) => [refOf(p), p.id, p.name].includes(name))).filter(Boolean);
  const instance = instances.find((i) => i.id === (query.instance || chosen[0]?.instance_id));
  const problem = (chosen[0] || instance)?.problem;
  return problem ? { problem, policies: chosen.map(refOf), instances: instance ? [instance.id] : [] } : null;
}

export function Form({ policies, instances, query }) {
  const title = useTitles();
  const asked = useMemo(() => withQuery(query, policies, instances), []);
  const [kept, setDraft, drop] = useDraft("evaluate", BLANK);
  const [fresh, setFresh] = useState(asked);
  const problems = [...new Set(policies.map((p) => p.problem))];
  const draft = { ...BLANK, ...kept, ...fresh, problem: fresh?.problem || kept.problem || problems[0] };
  const change = (part) => { setFresh(null); setDraft({ ...draft, ...part }); };
  const fits = useFits(draft.instances);
  const [error, setError] = useState(null);
  const [faults, setFaults] = useState({});
  const [busy, setBusy] = useState(false);
  const start = async () => {
    setBusy(true);
    setError(null);
    setFaults({});
    const outcome = await startAll(draft, fits.data || {});
    setBusy(false);
    if (outcome.failed) {
      setError(outcome.failed);
      setFaults(outcome.faults);
    } else {
      drop(BLANK);
      go("/evaluate/run", { jobs: outcome.jobs.join(",") });
    }
  };
  const missing = !draft.policies.length ? "Choose a policy." : !draft.instances.length ? "Choose an instance." : draft.by === "set" && !draft.set ? "Choose a scenario set." : null;
  return html`<form class="stack" onSubmit=${(e) => { e.preventDefault(); start(); }}>
    <div class="field short"><label for="problem">Problem</label><select id="problem" value=${draft.problem} onChange=${(e) => change({ ...BLANK, problem: e.currentTarget.value })}>
      ${problems.map((name) => html`<option value=${name}>${title(name)}</option>`)}</select></div>
    <div class="columns narrow">
      <${Checklist} id="policy" label="Policies" options=${optionsOf(policies, draft.problem, title)} chosen=${draft.policies} onChange=${(chosen) => change({ policies: chosen })} />
      <${Checklist} id="instance" label="Instances" options=${instances.filter((i) => i.problem === draft.problem).map((i) => [i.id, i.name, ""])} chosen=${draft.instances} faults=${faults} onChange=${(chosen) => change({ instances: chosen })} />
      <${Checklist} id="rule" label="Classical rules" options=${rulesOf(fits.data)} chosen=${draft.rules} onChange=${(rules) => change({ rules })}
        empty=${draft.instances.length ? "None fits the chosen instances." : "Choose an instance to see which fit."} />
    </div>
    <${Scenarios} draft=${draft} change=${change} instances=${instances} errors=${error?.errors || []} />
    <${Problem} error=${error || fits.error} />
    <div class="row"><button class="main" type="submit" disabled=${busy || Boolean(missing)}>${busy ? "Starting …" : "Compare"}</button>${missing && html`<span class="soft small">${missing}</span>`}</div>
  </form>`;
}

const optionsOf = (policies, problem, title) => policies.filter((p) => p.problem === problem)
  .map((p) => [refOf(p), refOf(p), [short(title(p.solver)), ...(p.aliases || []).map((a) => `@${a}`)].join(", ")]);

/** Which classical rules fit each chosen instance: {instance: [{name, title}]}. */
export const useFits = (ids) => useLoad(async () => Object.fromEntries(await Promise.all(ids.map(async (id) => [id, (await get(`/v1/instances/${id}/fit`)).rules]))), [ids.join()]);

function rulesOf(fits = {}) {
  const lists = Object.values(fits);
  const titles = new Map(lists.flat().map((rule) => [rule.name, rule.title]));
  return [...titles].map(([name, text]) => {
    const count = lists.filter((list) => list.some((rule) => rule.name === name)).length;
    return [name, text || words(name), count < lists.length ? `fits ${count} of ${lists.length} instances` : ""];
  });
}

/** One job for each instance: {jobs}, or {failed, faults} at the first refusal. */
async function startAll(draft, fits) {
  const seed = draft.seed === "" ? freshSeed() : Number(draft.seed);
  const jobs = [];
  for (const id of draft.instances) {
    const rules = draft.rules.filter((name) => (fits[id] || []).some((rule) => rule.name === name));
    try {
      jobs.push((await create("/v1/evaluations", bodyOf(draft, id, rules, seed))).data.id);
    } catch (failed) {
      return { failed, faults: { [id]: failed.message } };
    }
  }
  return { jobs };
}

function Scenarios({ draft, change, instances, errors }) {
  const field = (name, label, help, attributes) => {
    const fault = errors.filter((e) => e.pointer === `/${name}`);
    return html`<div class="field"><label for=${`s-${name}`}>${label}</label>
      <input id=${`s-${name}`} type="number" value=${draft[name]} aria-invalid=${fault.length ? "true" : undefined} onInput=${(e) => change({ [name]: e.currentTarget.value })} ...${attributes} />
      <span class="help">${help}</span>${fault.map((f) => html`<span class="fault">${f.detail}</span>`)}</div>`;
  };
  return html`<fieldset class="checklist"><legend>Scenarios</legend>
    <div class="row" role="radiogroup" aria-label="Where scenarios come from">
      <label><input type="radio" name="by" checked=${draft.by === "number"} onChange=${() => change({ by: "number" })} /> Drawn from the instance</label>
      <label><input type="radio" name="by" checked=${draft.by === "set"} onChange=${() => change({ by: "set" })} /> Your own scenario set</label>
    </div>
    ${draft.by === "set" ? html`<${ScenarioSet} draft=${draft} change=${change} instances=${instances} />` : ""}
    <div class="form">
      ${draft.by === "number" && field("scenarios", "Number of scenarios", "More make intervals narrower: four times as many, half as wide.", { min: 2, step: 1 })}
      ${draft.by === "number" && field("seed", "Seed", "Left empty, one is drawn and recorded. The same seed gives the same scenarios.", { min: 0, step: 1 })}
      ${field("minutes", "Time limit for each instance", "In minutes. At the limit, what has been simulated is compared.", { min: 0.1, step: "any" })}
    </div></fieldset>`;
}
