// Home: what needs a decision today, what is running, and the first steps of an empty service.
import { html } from "../lib/ui.js";
import { get } from "../lib/api.js";
import { useEvery, useLoad } from "../lib/load.js";
import { href } from "../lib/router.js";
import { number } from "../lib/format.js";
import { UNFINISHED } from "../lib/work.js";
import { JobWatch } from "../parts/job_watch.js";
import { Page, Sheet, Stat } from "../parts/page.js";
import { Loaded } from "../parts/notice.js";
import { PolicyCard, needsDecision } from "./home/policy_card.js";
import { FirstSteps } from "./home/first_steps.js";

const LOOK_MS = 5000;
const MOST_CARDS = 24;
const MOST_JOBS = 6;

/** The policies in use: those an alias names; while there is none, the newest version of every name. */
async function policiesInUse() {
  const used = (await get("/v1/policies?in_use=true&limit=200")).items;
  if (used.length) return { policies: used, named: true };
  const newest = new Map();
  for (const policy of (await get("/v1/policies?limit=200")).items) if (!newest.has(policy.name)) newest.set(policy.name, policy);
  return { policies: [...newest.values()], named: false };
}

const unfinished = `/v1/jobs?${UNFINISHED.map((state) => `state=${state}`).join("&")}&limit=50`;

export default function Home() {
  const use = useLoad(policiesInUse, []);
  const jobs = useLoad(() => get(unfinished), []);
  const waiting = useLoad(() => get("/v1/recommendations?outcome=pending&limit=200"), []);
  useEvery(LOOK_MS, () => [use, jobs, waiting].forEach((list) => list.reload()));
  return html`<${Page} title="Home" lead="What needs a decision today.">
    <${Loaded} of=${use} what="the policies in use">${({ policies, named }) => html`
      <${Numbers} policies=${policies} jobs=${jobs.data} waiting=${waiting.data} />
      ${!policies.length && html`<${FirstSteps} jobs=${jobs.data?.items || []} />`}
      ${policies.length > 0 && html`<section class="stack" aria-label="Policies in use">
        ${!named && html`<p class="soft">No version is in use by name yet: shown is the newest of every policy. Give one an alias on its page, for example <code>production</code>.</p>`}
        <div class="columns">${sorted(policies).slice(0, MOST_CARDS).map((p) => html`<${PolicyCard} key=${p.id} policy=${p} />`)}</div>
        ${policies.length > MOST_CARDS && html`<p><a href="#/policies">All ${policies.length} policies</a></p>`}</section>`}`}<//>
    <${Running} of=${jobs} reload=${use.reload} />
  <//>`;
}

/** Those that wait for a decision first. */
const sorted = (policies) => [...policies].sort((a, b) => Number(needsDecision(b)) - Number(needsDecision(a)) || a.name.localeCompare(b.name));

function Numbers({ policies, jobs, waiting }) {
  const count = (list) => (list ? `${number(list.items.length)}${list.next_cursor ? "+" : ""}` : "–");
  return html`<${Sheet}><div class="row tally">
    <${Stat} label="Need a decision" value=${number(policies.filter(needsDecision).length)} note=${`of ${policies.length} in use`} />
    <${Stat} label="Recommendations to judge" value=${count(waiting)} note=${html`<a href=${href("/decisions", { outcome: "pending" })}>Look at them</a>`} />
    <${Stat} label="Jobs at work or waiting" value=${count(jobs)} note=${html`<a href="#/jobs">All jobs</a>`} />
  </div><//>`;
}

function Running({ of, reload }) {
  return html`<${Sheet} title="Jobs at work"><${Loaded} of=${of} what="the jobs">${({ items }) => (items.length
    ? html`${items.slice(0, MOST_JOBS).map((job) => html`<${JobWatch} key=${job.id} id=${job.id} onEnd=${() => { of.reload(); reload(); }} />`)}
      ${items.length > MOST_JOBS && html`<a href="#/jobs">${items.length - MOST_JOBS} more</a>`}`
    : html`<p class="soft">Nothing is running.</p>`)}<//><//>`;
}
