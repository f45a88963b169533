// Train: an instance, a solver that serves it, sensible defaults, start.
import { html, useEffect, useMemo, useState } from "../lib/ui.js";
import { go, href } from "../lib/router.js";
import { collect, create, get } from "../lib/api.js";
import { useDraft } from "../lib/drafts.js";
import { useGet, useLoad } from "../lib/load.js";
import { secondsOf } from "../lib/work.js";
import { knownOf } from "../lib/yardsticks.js";
import { Page, Sheet } from "../parts/page.js";
import { Empty, Loaded, Problem, toast } from "../parts/notice.js";
import { SolverChoice, suggested } from "./train/solvers.js";
import { Details, asRequest } from "./train/details.js";

const BLANK = { instance: "", solver: "", policyName: "", minutes: "", seed: "", warmStart: "", device: "", also: [], config: {}, rulesFirst: true };
const RULES_SECONDS = 60;

export default function Train({ query }) {
  const lists = useLoad(async () => {
    const [instances, problems, solvers, limits] = await Promise.all([collect("/v1/instances"), collect("/v1/problems"), collect("/v1/solvers"), get("/v1/limits")]);
    return { instances, problems, solvers, limits };
  }, []);
  return html`<${Page} title="Train" lead="A solver finds a policy for an instance, and proves what it is worth on futures it has not seen."
      actions=${html`<a class="button" href="#/jobs">Jobs</a><a class="button" href="#/policies">Policies</a>`}>
    <${Loaded} of=${lists} what="instances and solvers">${(known) => (known.instances.length ? html`<${Form} known=${known} query=${query} />`
      : html`<${Empty}><p>A policy is trained for an instance: your own data, or one of the examples.</p><a class="button main" href=${href("/instances")}>Choose or make an instance</a><//>`)}<//>
  <//>`;
}

/** The draft, with what the address asks for laid over it. */
function useAsked(query) {
  const [draft, setDraft, drop] = useDraft("train", BLANK);
  const update = (change) => setDraft((old) => ({ ...BLANK, ...old, ...change }));
  useEffect(() => {
    setDraft((old) => asked({ ...BLANK, ...old }, query));
    if (query.like && draft.like !== query.like) get(`/v1/jobs/${query.like}`).then((job) => update({ ...likeJob(job), like: query.like }), () => {});
  }, [query.instance, query.solver, query.warm_start, query.like]);
  return [{ ...BLANK, ...draft }, update, drop];
}

/** What the address names; what was typed for just that stays when the page is opened again. */
function asked(old, { instance = old.instance, solver = old.solver, warm_start: warmStart = old.warmStart }) {
  const same = instance === old.instance && solver === old.solver;
  return { ...old, instance, solver, warmStart, ...(same ? {} : { config: {}, also: [] }) };
}

const likeJob = (job) => ({
  instance: job.instance_id, solver: job.solver, config: job.config, policyName: job.policy_name || "", warmStart: job.warm_start || "",
  also: job.also_instance_ids, device: job.device === "auto" ? "" : job.device, minutes: String(secondsOf(job.time_limit) / 60), seed: String(job.seed),
});

function Form({ known, query }) {
  const [draft, update, drop] = useAsked(query);
  const [refusal, setRefusal] = useState(null);
  const instance = known.instances.find((one) => one.id === draft.instance);
  const fit = useGet(instance ? `/v1/instances/${instance.id}/fit` : null);
  const marks = useLoad(() => (instance ? knownOf(instance.id) : null), [instance?.id]);
  const chosen = instance && fit.data && (fit.data.solvers.find((s) => s.name === draft.solver && s.configurable) || suggested(fit.data, known.solvers));
  const solver = chosen && known.solvers.find((s) => s.name === chosen.name);
  const change = (next) => { setRefusal(null); update(next); };
  return html`
    <${Sheet} title="1 · Instance"><${InstanceChoice} known=${known} value=${draft.instance} onChange=${(id) => change({ instance: id, also: [], warmStart: "" })} errors=${refusal?.errors} /><//>
    ${instance && html`<${Loaded} of=${fit} what="which solvers serve it">${(data) => html`
      <${Sheet} title="2 · Solver"><${SolverChoice} fit=${data} solvers=${known.solvers} value=${solver?.name} onChange=${(name) => change({ solver: name, config: {}, warmStart: "" })} /><//>
      ${solver && html`<${Start} key=${solver.name} ...${{ known, instance, solver, fit: data, marks: marks.data, draft, change, drop, refusal, setRefusal }} />`}`}<//>`}`;
}

function InstanceChoice({ known, value, onChange }) {
  const titles = Object.fromEntries(known.problems.map((p) => [p.name, p.title]));
  const groups = useMemo(() => Object.entries(Object.groupBy(known.instances, (one) => one.problem)), [known]);
  return html`<div class="row"><div class="field grow"><label for="instance">Train for</label>
    <select id="instance" value=${value} onChange=${(e) => onChange(e.currentTarget.value)}>
      <option value="">Choose an instance …</option>
      ${groups.map(([problem, list]) => html`<optgroup label=${titles[problem] || problem}>${list.map((one) => html`<option value=${one.id}>${one.name}${twin(list, one)}</option>`)}</optgroup>`)}
    </select></div>
    ${value && html`<a href=${href(`/instances/${value}`)}>Look at it</a>`}</div>`;
}

/** Instances of one name are told apart by their content. */
const twin = (list, one) => (list.filter((other) => other.name === one.name).length > 1 ? ` (${one.digest.replace("sha256:", "").slice(0, 8)})` : "");

function Start({ known, instance, solver, fit, marks, draft, change, drop, refusal, setRefusal }) {
  const [busy, setBusy] = useState(false);
  const start = async (event) => {
    event.preventDefault();
    setBusy(true);
    setRefusal(null);
    try {
      if (solver.kind === "train" && draft.rulesFirst && !marks && fit.rules.length) await compareRules(instance, fit);
      const { data } = await create("/v1/jobs", asRequest(draft, instance, solver));
      drop(BLANK);
      toast("It is queued, and goes on when this page is closed.");
      go(`/jobs/${data.id}`);
    } catch (error) {
      setRefusal(error);
      setBusy(false);
    }
  };
  return html`<form class="stack" onSubmit=${start} novalidate>
    <${Sheet} title="3 · Details"><${Details} ...${{ known, instance, solver, fit, marks, draft, change }} errors=${refusal?.errors || []} /><//>
    <${Problem} error=${refusal} />
    <div class="row"><button class="main" type="submit" disabled=${busy}>${busy ? "Starting …" : solver.kind === "train" ? "Start training" : "Start"}</button>
      <span class="soft small">What is left empty takes its default.</span></div>
  </form>`;
}

/** An evaluation of the classical rules alone, queued before the training: it also finds the lower bound. */
async function compareRules(instance, fit) {
  const body = { instance_id: instance.id, rules: fit.rules.map((rule) => rule.name), policies: [], kind: "evaluate", scenarios: 1024, time_limit: `PT${RULES_SECONDS}S` };
  await create("/v1/jobs", body);
}
