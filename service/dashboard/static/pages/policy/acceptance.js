// Acceptance tests of a policy's name: what a version must have shown before a guarded alias names it.
import { html, useState } from "../../lib/ui.js";
import { href } from "../../lib/router.js";
import { collect, create, del } from "../../lib/api.js";
import { useDraft } from "../../lib/drafts.js";
import { useGet, useLoad } from "../../lib/load.js";
import { ago, inSentence, number, percent, words } from "../../lib/format.js";
import { useRules } from "../../lib/titles.js";
import { Sheet } from "../../parts/page.js";
import { Loaded, Problem, Tag, toast } from "../../parts/notice.js";
import { Act, Confirm } from "../../parts/dialog.js";
import { JobWatch } from "../../parts/job_watch.js";

const pathOf = (card, id = "") => `/v1/policies/${card.name}/acceptance-tests${id && `/${id}`}`;
const BLANK = { name: "no-dearer", scenarios: "2048", set: "", rival: "", rule: "", increase: "0", service: "", floor: "", guards: "production" };

/** `list` is what the tests' collection gave; `onChange()` reads it again. */
export function Acceptance({ card, list, onChange }) {
  const [adding, setAdding] = useState(false);
  return html`<${Sheet} title="Acceptance tests" aside=${!adding && html`<button onClick=${() => setAdding(true)}>New test</button>`}>
    <p class="soft">A test says what a version must have shown before an alias it guards may name it. It is made once and never changed; every version can be put to it.</p>
    ${adding && html`<${NewTest} card=${card} onDone=${() => { setAdding(false); onChange(); }} onLeave=${() => setAdding(false)} />`}
    <${Loaded} of=${list} what="the tests">${({ items }) => (items.length ? items.map((test) => html`<${Test} key=${test.id} ...${{ test, card, onChange }} />`)
      : !adding && html`<p class="soft">There is none: any version may be put in use.</p>`)}<//>
  <//>`;
}

/** A test's demands in words. */
function demands(test, rule) {
  const rivals = [...(test.policies || []), ...(test.rules || []).map((name) => inSentence(rule(name)))];
  const share = test.largest_cost_increase;
  const cost = share > 0 ? `at most ${percent(share)} dearer than` : share < 0 ? `at least ${percent(-share)} cheaper than` : "no dearer than";
  return [
    "every decision feasible",
    rivals.length > 0 && `with 95 % confidence ${cost} ${rivals.join(" and ")}`,
    ...Object.entries(test.least_service || {}).map(([name, least]) => `${words(name).toLowerCase()} at least ${percent(least)}`),
  ].filter(Boolean).join("; ");
}

function Test({ test, card, onChange }) {
  const rule = useRules(card.problem);
  const [job, setJob] = useState(null);
  const mine = test.verdicts.find((v) => v.policy_id === card.id);
  const others = test.verdicts.filter((v) => v !== mine);
  const run = async () => setJob((await create(`${pathOf(card, test.id)}/runs`, { version: card.version })).data.id);
  const remove = async () => {
    await del(pathOf(card, test.id));
    toast(`The test ${test.name} was deleted.`);
    onChange();
  };
  return html`<article class="stack acceptance" aria-label=${`Test ${test.name}`}>
    <div class="row apart"><span><strong>${test.name}</strong> ${test.guards.map((alias) => html`<span class="tag" key=${alias}>guards ${alias}</span> `)}</span>
      <div class="row">${!job && html`<${Act} label=${mine ? `Test version ${card.version} again` : `Test version ${card.version}`} className="" action=${run} />`}
        <${Confirm} label="Delete" title=${`Delete the test ${test.name}?`} text="Its verdicts go with it; the aliases it guards are free then." action=${remove} /></div></div>
    <span class="soft">On <a href=${href(`/instances/${test.instance_id}`)}>its instance</a>, ${test.scenario_set_id ? "a scenario set" : `${number(test.scenarios)} scenarios`}: ${demands(test, rule)}.</span>
    ${job && html`<${JobWatch} id=${job} label=${`Test of version ${card.version}`} onEnd=${() => { setJob(null); onChange(); }} />`}
    ${mine ? html`<${Verdict} verdict=${mine} />` : !job && html`<span class="soft">Version ${card.version} has not been put to it.</span>`}
    ${others.length > 0 && html`<details><summary class="small">Other versions (${others.length})</summary>${others.map((v) => html`<${Verdict} key=${v.policy_id} verdict=${v} />`)}</details>`}
  </article>`;
}

/** Passed or not, and every check with what was measured. */
export function Verdict({ verdict }) {
  return html`<div class="stack"><span><${Tag} tone=${verdict.passed ? "good" : "bad"}>${verdict.passed ? "passed" : "failed"}<//> Version ${verdict.version}${verdict.created_at ? `, ${ago(verdict.created_at)}` : ""}${verdict.scenarios ? `, on ${number(verdict.scenarios)} scenarios` : ""}
      ${verdict.evaluation_id && html` · <a href=${href(`/evaluations/${verdict.evaluation_id}`)}>the evaluation</a>`}</span>
    <ul class="checks">${verdict.checks.map((check) => html`<li><${Tag} tone=${check.passed ? "good" : "bad"}>${check.passed ? "yes" : "no"}<//> ${check.detail}</li>`)}</ul></div>`;
}

function bodyOf(draft, card) {
  const scenarios = draft.set ? { scenario_set_id: draft.set } : { scenarios: Number(draft.scenarios) || draft.scenarios };
  return {
    name: draft.name, instance_id: card.instance_id, ...scenarios,
    policies: draft.rival ? [draft.rival] : [], rules: draft.rule ? [draft.rule] : [],
    largest_cost_increase: Number.isFinite(Number(draft.increase)) ? Number(draft.increase) / 100 : draft.increase,
    least_service: draft.service ? { [draft.service]: Number(draft.floor) / 100 } : {}, guards: draft.guards.split(/[\s,]+/).filter(Boolean),
  };
}

function NewTest({ card, onDone, onLeave }) {
  const [draft, setDraft, drop] = useDraft(`acceptance.${card.name}`, BLANK);
  const [refusal, setRefusal] = useState(null);
  const fit = useGet(`/v1/instances/${card.instance_id}/fit`);
  const sets = useLoad(() => collect(`/v1/scenario-sets?instance_id=${card.instance_id}`, 200), [card.instance_id]);
  const set = (name) => (event) => setDraft((old) => ({ ...old, [name]: event.currentTarget.value }));
  const measures = Object.keys(card.certificate.policy?.service || {});
  const save = async (event) => {
    event.preventDefault();
    setRefusal(null);
    try {
      await create(pathOf(card), bodyOf(draft, card));
      drop(BLANK);
      onDone();
    } catch (error) {
      setRefusal(error);
    }
  };
  const field = { draft, set, errors: refusal?.errors || [] };
  return html`<form class="stack" onSubmit=${save}><div class="form">
      <${Text} ...${field} name="name" label="Name of the test" pointer="/name" />
      <${Text} ...${field} name="scenarios" label="Scenarios" pointer="/scenarios" help="Drawn once; every version meets the same ones." />
      ${sets.data?.length > 0 && html`<${Choice} ...${field} name="set" label="Or a set of your own" options=${[["", "none"], ...sets.data.map((one) => [one.id, one.name])]} />`}
      <${Text} ...${field} name="rival" label="Compared with policy" pointer="/policies" help=${`A reference such as ${card.name}@production; empty for none.`} />
      <${Choice} ...${field} name="rule" label="Compared with rule" options=${[["", "none"], ...(fit.data?.rules || []).map((rule) => [rule.name, rule.title])]} />
      <${Text} ...${field} name="increase" label="May cost more by [%]" pointer="/largest_cost_increase" help="With 95 % confidence. Negative: it must be cheaper." />
      ${measures.length > 0 && html`<${Choice} ...${field} name="service" label="Least service of" options=${[["", "none"], ...measures.map((name) => [name, words(name)])]} />`}
      ${draft.service && html`<${Text} ...${field} name="floor" label="At least [%]" pointer="/least_service" />`}
      <${Text} ...${field} name="guards" label="Guards the aliases" pointer="/guards" help="Separated by commas." />
    </div>
    <${Problem} error=${refusal} />
    <div class="row"><button class="main" type="submit">Make the test</button><button type="button" onClick=${onLeave}>Not now</button></div></form>`;
}

function Text({ draft, set, errors, name, label, pointer, help }) {
  const fault = errors.filter((e) => e.pointer === pointer || e.pointer.startsWith(`${pointer}/`));
  const id = `acceptance-${name}`;
  return html`<div class="field"><label for=${id}>${label}</label><input id=${id} autocomplete="off" value=${draft[name]} aria-invalid=${fault.length ? "true" : undefined} aria-describedby=${`${id}-about`} onInput=${set(name)} />
    <span id=${`${id}-about`} class=${fault.length ? "fault" : "help"}>${fault.length ? fault.map((f) => f.detail).join(" ") : help}</span></div>`;
}

const Choice = ({ draft, set, name, label, options }) => html`<div class="field"><label for=${`acceptance-${name}`}>${label}</label><select id=${`acceptance-${name}`} value=${draft[name]} onChange=${set(name)}>${options.map(([key, text]) => html`<option value=${key}>${text}</option>`)}</select></div>`;
