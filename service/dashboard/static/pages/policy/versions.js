// Versions of a name side by side, and the aliases that say which one is in use for what.
import { html, useMemo, useState } from "../../lib/ui.js";
import { href } from "../../lib/router.js";
import { collect, get } from "../../lib/api.js";
import { useGet, useLoad } from "../../lib/load.js";
import { ago, duration, number, percent, when } from "../../lib/format.js";
import { Sheet } from "../../parts/page.js";
import { Loaded, Tag } from "../../parts/notice.js";
import { Components, CostHistogram, CostSpread, ServiceTable } from "../../parts/costs.js";
import { Acceptance } from "./acceptance.js";
import { Aliases } from "./aliases.js";

const MOST_COMPARED = 6;

export function Versions({ card, onChange }) {
  const list = useLoad(() => collect(`/v1/policies?name=${card.name}`, 500), [card.name]);
  const tests = useGet(`/v1/policies/${card.name}/acceptance-tests`);
  const changed = () => { list.reload(); onChange(); };
  return html`<${Loaded} of=${list} what="its versions">${(versions) => html`
    <${Aliases} card=${card} tests=${tests.data?.items || []} onChange=${changed} />
    <${Acceptance} card=${card} list=${tests} onChange=${tests.reload} />
    <${Compare} card=${card} versions=${versions} />`}<//>`;
}

function Compare({ card, versions }) {
  const [chosen, setChosen] = useState([card.id]);
  const toggle = (id, on) => setChosen((old) => (on ? [...old, id] : old.filter((one) => one !== id)));
  return html`<${Sheet} title="Versions" aside=${chosen.length > 1 && html`<a class="button" href=${href("/evaluate", { policies: versions.filter((v) => chosen.includes(v.id)).map((v) => `${v.name}:${v.version}`).join(","), instance: card.instance_id })}>Compare on common scenarios</a>`}>
    <div class="scroll-x" tabindex="0" role="region" aria-label="Versions"><table>
      <thead><tr><th>Compare</th><th>Version</th><th>In use as</th><th class="number">Cost a stage</th><th class="number">Above the bound</th><th>Verdict</th><th>Trained</th></tr></thead>
      <tbody>${versions.map((v) => html`<tr key=${v.id}>
        <td><input type="checkbox" aria-label=${`Compare version ${v.version}`} checked=${chosen.includes(v.id)} disabled=${!chosen.includes(v.id) && chosen.length >= MOST_COMPARED} onChange=${(e) => toggle(v.id, e.currentTarget.checked)} /></td>
        <td><a href=${href(`/policies/${v.name}:${v.version}`)} aria-current=${v.id === card.id ? "true" : undefined}>Version ${v.version}</a>${v.id === card.id && html` <span class="soft small">shown above</span>`}</td>
        <td>${v.aliases.map((alias) => html`<${Tag} key=${alias} tone="good">${alias}<//> `)}</td>
        <td class="number">${number(v.mean_cost_per_stage)}</td><td class="number">${v.gap === null ? "–" : percent(v.gap)}</td>
        <td>${v.recommended_for_use ? "recommended" : html`<span class="soft">not recommended</span>`}</td><td title=${when(v.created_at)}>${ago(v.created_at)}</td></tr>`)}</tbody></table></div>
    ${chosen.length > 1 ? html`<${SideBySide} ids=${chosen} />` : versions.length > 1 && html`<p class="soft">Tick versions to see them side by side.</p>`}
  <//>`;
}

function SideBySide({ ids }) {
  const key = ids.join();
  const cards = useLoad(() => Promise.all(ids.map((id) => get(`/v1/policies/${id}`))), [key]);
  return html`<${Loaded} of=${cards} what="the versions">${(found) => html`<${Compared} cards=${found} />`}<//>`;
}

function Compared({ cards }) {
  const entries = useMemo(() => cards.map((card) => ({ ...card.certificate.policy, label: `Version ${card.version}` })), [cards]);
  const instances = new Set(cards.map((card) => card.instance_id));
  const settings = useMemo(() => differing(cards), [cards]);
  return html`
    ${instances.size > 1 ? html`<p class="notice warn">They were trained and judged on different instances: the costs do not compare.</p>`
      : html`<p class="soft small">Each was judged on scenarios of its own. For a paired comparison, evaluate them on common scenarios.</p>`}
    <div class="columns"><${CostSpread} entries=${entries} bound=${instances.size === 1 ? cards[0].certificate.bound : null} title="Cost by version" /><${Components} entries=${entries} /></div>
    <${CostHistogram} entries=${sameBins(entries)} />
    <${ServiceTable} entries=${entries} />
    ${settings.length > 0 && html`<figure><h3>What was set differently</h3><div class="scroll-x" tabindex="0" role="region" aria-label="Settings that differ"><table>
      <thead><tr><th>Setting</th>${cards.map((card) => html`<th>Version ${card.version}</th>`)}</tr></thead>
      <tbody>${settings.map(([name, values]) => html`<tr><td>${name}</td>${values.map((v) => html`<td class="number">${typeof v === "number" ? number(v, 8) : String(v ?? "–")}</td>`)}</tr>`)}</tbody></table></div></figure>`}`;
}

/** Histograms lie over each other only where their bins are the same. */
const sameBins = (entries) => entries.filter((e) => e.distribution && JSON.stringify(e.distribution.histogram?.edges) === JSON.stringify(entries[0].distribution?.histogram?.edges));

function differing(cards) {
  const rows = [["solver", cards.map((c) => c.solver)], ["seed", cards.map((c) => String(c.seed))], ["time in training", cards.map((c) => duration(c.training.seconds))]];
  for (const name of new Set(cards.flatMap((c) => Object.keys(c.config)))) rows.push([name.replaceAll("_", " "), cards.map((c) => c.config[name] ?? null)]);
  return rows.filter(([, values]) => new Set(values.map((v) => JSON.stringify(v))).size > 1);
}
