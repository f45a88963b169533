// One policy: its proof as a picture, what it does over time, how it was trained, its versions and what they are in use for.
import { html } from "../lib/ui.js";
import { go, href } from "../lib/router.js";
import { del } from "../lib/api.js";
import { useGet } from "../lib/load.js";
import { useRules, useTitles } from "../lib/titles.js";
import { ago } from "../lib/format.js";
import { noteOf, short, verdict } from "../lib/work.js";
import { Page, Tabs } from "../parts/page.js";
import { Loaded, Tag, toast } from "../parts/notice.js";
import { Confirm } from "../parts/dialog.js";
import { Proof } from "./policy/proof.js";
import { Operation } from "./policy/operation.js";
import { Training } from "./policy/training.js";
import { Versions } from "./policy/versions.js";

export default function Policy({ params, query }) {
  const card = useGet(`/v1/policies/${encodeURIComponent(params.ref)}`);
  return html`<${Loaded} of=${card} what="the policy">${(found) => html`<${Card} key=${found.id} card=${found} reload=${card.reload} at=${params.ref} query=${query} />`}<//>`;
}

function Card({ card, reload, at, query }) {
  const title = useTitles();
  const tabs = [
    ["proof", "Proof", () => html`<${Proof} card=${card} />`],
    ["operation", "In operation", () => html`<${Operation} card=${card} />`],
    ["training", "Training and origin", () => html`<${Training} card=${card} reload=${reload} />`],
    ["versions", "Versions and aliases", () => html`<${Versions} card=${card} onChange=${reload} />`],
  ];
  const lead = html`<${Tag} tone=${card.recommended_for_use ? "good" : "warn"}>${card.recommended_for_use ? "recommended for use" : "not recommended for use"}<//>
    ${card.aliases.map((alias) => html` <${Tag} key=${alias} tone="live">${alias}<//>`)} Version ${card.version}, ${short(title(card.solver))} on <a href=${href(`/instances/${card.instance_id}`)}>${card.instance.name}</a>, ${ago(card.created_at)}`;
  return html`<${Page} title=${card.name} crumbs=${[["Policies", "#/policies"]]} lead=${lead} actions=${html`<${Actions} card=${card} />`}>
    <${Told} card=${card} />
    <${Tabs} label="About this policy" tabs=${tabs} current=${query.tab} onChange=${(tab) => go(`/policies/${at}`, { ...query, tab }, true)} />
  <//>`;
}

function Actions({ card }) {
  const remove = async () => {
    await del(`/v1/policies/${card.id}`);
    toast(`Version ${card.version} of ${card.name} was deleted.`);
    go("/policies");
  };
  return html`
    <a class="button main" href=${href(`/decide/${card.name}:${card.version}`)}>Decide with it</a>
    <a class="button" href=${href("/train", { instance: card.instance_id, solver: card.solver, warm_start: card.id })}>Train on from it</a>
    <${Confirm} label="Delete" title=${`Delete version ${card.version} of ${card.name}?`} text="The policy and its proof go for good. While a recommendation, an alias or a job needs it, it stays." action=${remove} />`;
}

/** What must be said of it before anything else. */
function Told({ card }) {
  const { certificate } = card;
  const rule = useRules(card.problem);
  const missed = certificate.missed_targets || [];
  if (card.recommended_for_use) return html`<div class="notice good"><span>${verdict(certificate, rule)}</span>${card.certificate.bound_note && html`<span class="small soft">${noteOf(certificate.bound_note)}</span>`}</div>`;
  return html`<div class="notice warn"><strong>${card.better_rule ? "A classical rule does better." : missed.length ? "It misses a target." : "It is not recommended for use."}</strong>
    <span>${verdict(certificate, rule)}</span>
    ${missed.length > 0 && html`<span>Missed: ${missed.join(", ")}.</span>`}
    ${!card.better_rule && !missed.length && html`<span>Training was stopped before it was compared with the classical rules.</span>`}
    ${card.better_rule && html`<div><a class="button main" href=${href(`/policies/${card.better_rule}`)}>Use the better rule instead</a></div>`}</div>`;
}
