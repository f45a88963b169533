// Settings: who may call, who changed what, what the service allows, how its queue, workers and storage stand, and what this browser prefers.
import { html, useCell, useState } from "../lib/ui.js";
import { get, getKey, setKey } from "../lib/api.js";
import { useEvery, useGet, useLoad } from "../lib/load.js";
import { go, href } from "../lib/router.js";
import { ago, bytes, duration, number, when, words } from "../lib/format.js";
import { limitOf } from "../lib/work.js";
import { setStaleHours, staleHours } from "../lib/preferences.js";
import { setTheme, theme } from "../lib/theme.js";
import { Page, Sheet, Stat, Tabs } from "../parts/page.js";
import { Empty, Loaded, Tag, toast } from "../parts/notice.js";
import { Audit } from "./settings/audit.js";
import { Keys } from "./settings/keys.js";

const LOOK_MS = 5000;

export default function Settings({ query }) {
  const tabs = [
    ["service", "Service", () => html`<${Service} />`],
    ["keys", "Keys", () => html`<${Keys} />`],
    ["audit", "Audit", () => html`<${Audit} query=${query} />`],
    ["limits", "Limits", () => html`<${Limits} />`],
    ["browser", "This browser", () => html`<${Browser} />`],
  ];
  return html`<${Page} title="Settings"><${Tabs} label="Settings" tabs=${tabs} current=${query.tab} onChange=${(tab) => go("/settings", { tab }, true)} /><//>`;
}

function Service() {
  const queue = useGet("/v1/queue");
  const workers = useLoad(() => get("/v1/workers?limit=200"), []);
  const storage = useGet("/v1/storage");
  const version = useGet("/v1/version");
  useEvery(LOOK_MS, () => [queue, workers, storage].forEach((list) => list.reload()));
  return html`
    <${Sheet} title="Queue"><${Loaded} of=${queue} what="the queue">${(q) => html`<div class="row tally">
      <${Stat} label="Waiting" value=${number(q.queued)} note=${q.oldest_queued_at && `the oldest since ${ago(q.oldest_queued_at)}`} /><${Stat} label="At work" value=${number(q.active)} />
      ${Object.entries(q.jobs).map(([state, count]) => html`<${Stat} label=${words(state)} value=${number(count)} />`)}</div>`}<//>
      ${queue.data && unserved(queue.data).map((text) => html`<div class="notice warn">${text}</div>`)}
      <a href="#/jobs">All jobs</a><//>
    <${Sheet} title="Workers"><${Loaded} of=${workers} what="the workers">${({ items }) => html`<${Workers} of=${items} />`}<//><//>
    <${Sheet} title="Storage"><${Loaded} of=${storage} what="the storage">${(s) => html`<${Storage} of=${s} />`}<//><//>
    <${Sheet} title="Version"><${Loaded} of=${version} what="the version">${(v) => html`<p>${words(v.name)} ${v.version}, API ${v.api}. <a href="/docs">The API's reference</a></p>`}<//><//>`;
}

/** Queues whose jobs no live worker takes. */
const unserved = ({ queues }) => Object.entries(queues).filter(([, one]) => one.queued && !one.slots)
  .map(([name, one]) => `${one.queued === 1 ? "1 job" : `${number(one.queued)} jobs`} on the queue ${name.toUpperCase()}, which no live worker serves.`);

const WORKER_TONES = { busy: "live", idle: "good", lost: "bad" };

function Workers({ of }) {
  if (!of.length) return html`<${Empty}><p>No worker was seen. Jobs wait until one is started.</p><//>`;
  return html`<div class="scroll-x"><table><thead><tr><th scope="col">Worker</th><th scope="col">State</th><th scope="col">Queue</th><th scope="col">Works on</th><th scope="col">Jobs at once</th><th scope="col">GPUs</th><th scope="col">Started</th><th scope="col">Last seen</th></tr></thead>
    <tbody>${of.map((w) => html`<tr key=${w.id}><td>${w.name}</td><td><${Tag} tone=${WORKER_TONES[w.state]}>${words(w.state)}<//></td><td>${w.queue}</td>
      <td>${w.jobs.length ? w.jobs.map((id) => html`<a class="mono" href=${href(`/jobs/${id}`)}>${id.slice(-8)}</a> `) : "–"}</td><td>${Object.entries(w.slots).map(([queue, slots]) => `${slots} ${queue.toUpperCase()}`).join(", ")}</td><td>${w.gpus.join(", ") || "–"}</td>
      <td title=${when(w.started_at)}>${ago(w.started_at)}</td><td title=${when(w.seen_at)}>${ago(w.seen_at)}</td></tr>`)}</tbody></table></div>`;
}

function Storage({ of }) {
  const used = of.total_bytes - of.free_bytes;
  const share = of.total_bytes ? used / of.total_bytes : 0;
  return html`<div class="row tally"><${Stat} label="Policies' artifacts" value=${bytes(of.artifacts_bytes)} /><${Stat} label="Jobs' files" value=${bytes(of.jobs_bytes)} />
      <${Stat} label="Database" value=${of.database_bytes === null ? "–" : bytes(of.database_bytes)} /><${Stat} label="Free on the disk" value=${bytes(of.free_bytes)} note=${`of ${bytes(of.total_bytes)}`} /></div>
    <div class="progress" role="meter" aria-label="Disk in use" aria-valuenow=${Math.round(100 * share)} aria-valuemin="0" aria-valuemax="100"><div style=${{ width: `${100 * share}%` }}></div></div>
    ${share > 0.95 && html`<div class="notice warn">The disk is nearly full: trainings cannot keep their checkpoints when it is.</div>`}`;
}

const LIMITS = {
  max_body_bytes: ["Largest request", bytes], max_recommend_body_bytes: ["Largest request for recommendations", bytes], max_states: ["States in one request", number], max_json_depth: ["Levels of a JSON document", number],
  max_page: ["Items on a page of a list", number], max_wait_seconds: ["Longest wait for an event", duration], body_seconds: ["Time for a request to arrive", duration],
  requests_per_minute: ["Requests a minute", (v) => (v === null ? "not limited" : number(v))], idempotency_hours: ["Answers kept for repeated requests", (v) => duration(3600 * v)],
  default_time_limit: ["Time of a job, if none is asked for", limitOf], max_time_limit: ["Longest time of a job", limitOf], max_queued_jobs: ["Jobs that may wait", number],
};

function Limits() {
  const limits = useGet("/v1/limits");
  return html`<${Sheet} title="Limits"><p class="soft">Set by whoever runs the service.</p><${Loaded} of=${limits} what="the limits">${(found) => html`<dl class="facts">${Object.entries(found).map(([name, value]) => {
    const [label, show] = LIMITS[name] || [words(name), (v) => (typeof v === "number" ? number(v) : String(v ?? "–"))];
    return html`<dt>${label}</dt><dd>${show(value)}</dd>`;
  })}</dl>`}<//><//>`;
}

function Browser() {
  const look = useCell(theme);
  const [hours, setHours] = useState(String(staleHours()));
  const [key, take] = useState("");
  const [remember, setRemember] = useState(false);
  const [has, setHas] = useState(Boolean(getKey()));
  const fault = !(Number(hours) > 0) || Number(hours) > 10_000;
  const put = (text) => { setHours(text); if (Number(text) > 0 && Number(text) <= 10_000) setStaleHours(Number(text)); };
  const use = async (event) => {
    event.preventDefault();
    setKey(key.trim(), remember);
    take("");
    setHas(Boolean(getKey()));
    toast("This browser uses the key from now on.");
  };
  const forget = () => { setKey(""); setHas(false); toast("The key is forgotten."); };
  return html`
    <${Sheet} title="Colours"><div class="row" role="radiogroup" aria-label="Colours">${["light", "dark"].map((name) => html`<label><input type="radio" name="theme" checked=${look === name} onChange=${() => setTheme(name)} /> ${words(name)}</label>`)}</div><//>
    <${Sheet} title="Home page"><div class="field narrow"><label for="stale">A state is out of date after [hours]</label>
      <input id="stale" type="text" inputmode="decimal" value=${hours} onInput=${(e) => put(e.currentTarget.value.trim())} aria-invalid=${fault ? "true" : undefined} aria-describedby="stale-help" />
      <span class="help" id="stale-help">A policy whose last recommendation is older needs a decision.</span>${fault && html`<span class="fault">A number above 0, at most 10,000.</span>`}</div><//>
    <${Sheet} title="Key of this browser">
      <p>${has ? "Requests of this browser carry a key." : "Requests of this browser carry no key."}</p>
      <form class="stack" onSubmit=${use}><div class="field narrow"><label for="own-key">Another key</label><input id="own-key" type="password" autocomplete="off" value=${key} onInput=${(e) => take(e.currentTarget.value)} /></div>
        <label><input type="checkbox" checked=${remember} onChange=${(e) => setRemember(e.currentTarget.checked)} /> Remember it on this computer</label>
        <div class="row"><button class="main" type="submit" disabled=${!key.trim()}>Use this key</button><button type="button" disabled=${!has} onClick=${forget}>Forget the key</button></div></form><//>`;
}
