// What if: numbers of an instance changed, and the same policies judged on both with the same scenarios.
import { html, useMemo, useState } from "../lib/ui.js";
import { collect, create, get } from "../lib/api.js";
import { useDraft } from "../lib/drafts.js";
import { useGet, useLoad } from "../lib/load.js";
import { changed, numbersOf } from "../lib/numbers.js";
import { go } from "../lib/router.js";
import { useTitles } from "../lib/titles.js";
import { words } from "../lib/format.js";
import { limitIn } from "../lib/work.js";
import { Checklist } from "../parts/checklist.js";
import { Empty, Loaded, Problem } from "../parts/notice.js";
import { Page, Sheet } from "../parts/page.js";
import { freshSeed, refOf, useFits } from "./evaluate/form.js";
import { Numbers } from "./what_if/numbers.js";

export default function WhatIf({ query }) {
  const known = useLoad(async () => {
    const [policies, instances] = await Promise.all([collect("/v1/policies", 2000), collect("/v1/instances", 2000)]);
    return { policies, instances: instances.filter((i) => policies.some((p) => p.problem === i.problem)) };
  }, []);
  return html`<${Page} title="What if" crumbs=${[["Evaluate", "#/evaluate"]]} lead="Change numbers of an instance and see what the same policies make of it.">
    <${Loaded} of=${known} what="instances and policies">${({ policies, instances }) => (instances.length
      ? html`<${Choose} policies=${policies} instances=${instances} chosen=${query.instance} />`
      : html`<${Empty}><p>A what-if needs an instance and a policy to judge on it.</p><a class="button main" href="#/train">Train one</a><//>`)}<//>
  <//>`;
}

function Choose({ policies, instances, chosen }) {
  const title = useTitles();
  const id = instances.some((i) => i.id === chosen) ? chosen : instances.find((i) => policies.some((p) => p.instance_id === i.id))?.id ?? instances[0].id;
  const instance = useGet(`/v1/instances/${id}`);
  return html`
    <div class="field short"><label for="instance">Instance</label><select id="instance" value=${id} onChange=${(e) => go("/what-if", { instance: e.currentTarget.value }, true)}>
      ${instances.map((i) => html`<option value=${i.id}>${i.name} (${title(i.problem).toLowerCase()})</option>`)}</select></div>
    <${Loaded} of=${instance} what="the instance">${(found) => (found.id === id ? html`<${Change} key=${id} instance=${found} policies=${policies.filter((p) => p.problem === found.problem)} />` : html`<p class="busy" role="status">Reading the instance …</p>`)}<//>`;
}

const blankOf = (instance, policies) => ({ changes: {}, name: `${instance.name}-what-if`.slice(0, 100), policies: policies.filter((p) => p.instance_id === instance.id).slice(0, 1).map(refOf), rules: [], scenarios: 1024, minutes: 10 });

function Change({ instance, policies }) {
  const blank = useMemo(() => blankOf(instance, policies), []);
  const [draft, setDraft, drop] = useDraft(`what-if.${instance.id}`, blank);
  const rows = useMemo(() => numbersOf(instance.document), [instance]);
  const fits = useFits([instance.id]);
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const change = (part) => { setError(null); setDraft({ ...draft, ...part }); };
  const compare = async (event) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      const jobs = await start(instance, draft);
      drop(blank);
      go("/what-if/result", { jobs: jobs.join(",") });
    } catch (caught) {
      setError(caught);
    }
    setBusy(false);
  };
  const missing = !Object.keys(draft.changes).length ? "Change a number first." : !draft.policies.length ? "Choose a policy." : null;
  const faults = error?.pointsInto ? error.errors : [];
  return html`
    <${Sheet} title="Numbers"><${Numbers} rows=${rows} changes=${draft.changes} onChange=${(changes) => change({ changes })} faults=${faults} /><//>
    <${Sheet} title="Judge on both"><form class="stack" onSubmit=${compare}>
      <div class="columns">
        <${Checklist} id="policy" label="Policies" options=${policies.map((p) => [refOf(p), refOf(p), p.instance_id === instance.id ? "trained on this instance" : ""])} chosen=${draft.policies} onChange=${(chosen) => change({ policies: chosen })} />
        <${Checklist} id="rule" label="Classical rules" options=${(fits.data?.[instance.id] || []).map((r) => [r.name, r.title || words(r.name)])} chosen=${draft.rules} onChange=${(rules) => change({ rules })} empty="None fits this instance." />
      </div>
      <div class="form">
        <div class="field"><label for="name">Name of the changed instance</label><input id="name" value=${draft.name} onInput=${(e) => change({ name: e.currentTarget.value })} required /></div>
        <div class="field"><label for="scenarios">Number of scenarios</label><input id="scenarios" type="number" min="2" value=${draft.scenarios} onInput=${(e) => change({ scenarios: e.currentTarget.value })} /></div>
        <div class="field"><label for="minutes">Time limit for each</label><input id="minutes" type="number" min="0.1" step="any" value=${draft.minutes} onInput=${(e) => change({ minutes: e.currentTarget.value })} /><span class="help">In minutes.</span></div>
      </div>
      <${Problem} error=${error} />
      <div class="row"><button class="main" type="submit" disabled=${busy || Boolean(missing)}>${busy ? "Starting …" : "Compare"}</button>${missing && html`<span class="soft small">${missing}</span>`}</div>
    </form><//>`;
}

/** Store the changed instance and judge the same policies on both, with one seed; the two jobs. */
async function start(instance, draft) {
  const document = { ...changed(instance.document, draft.changes), name: draft.name };
  const variant = await create("/v1/instances", document).catch((error) => { throw Object.assign(error, { pointsInto: true }); });
  const seed = freshSeed();
  const fitting = new Set((await get(`/v1/instances/${variant.data.id}/fit`)).rules.map((rule) => rule.name));
  const body = (id, rules) => ({ instance_id: id, policies: draft.policies, rules, scenarios: Number(draft.scenarios), seed, time_limit: limitIn(draft.minutes) });
  const rules = draft.rules.filter((name) => fitting.has(name));
  return [(await create("/v1/evaluations", body(instance.id, rules))).data.id, (await create("/v1/evaluations", body(variant.data.id, rules))).data.id];
}
