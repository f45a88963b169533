// Which policy shall decide: those in use first, with what was last asked of them.
import { html, useState } from "../../lib/ui.js";
import { collect } from "../../lib/api.js";
import { ago } from "../../lib/format.js";
import { useLoad } from "../../lib/load.js";
import { useTitles } from "../../lib/titles.js";
import { short } from "../../lib/work.js";
import { href } from "../../lib/router.js";
import { Empty, Loaded, Tag } from "../../parts/notice.js";
import { Page, Sheet } from "../../parts/page.js";

const MOST_SHOWN = 100;

export function Choose() {
  const policies = useLoad(() => collect("/v1/policies", 2000), []);
  return html`<${Page} title="Decide" lead="Choose the policy that shall decide."
    actions=${html`<a class="button" href="#/decisions">History</a>`}>
    <${Loaded} of=${policies} what="the policies">${(all) => (all.length ? html`<${Lists} all=${all} />`
      : html`<${Empty}><p>There is no policy yet.</p><a class="button main" href="#/train">Train one</a><//>`)}<//>
  <//>`;
}

function Lists({ all }) {
  const [text, setText] = useState("");
  const wanted = all.filter((p) => `${p.name} ${p.problem} ${(p.aliases || []).join(" ")}`.includes(text.trim().toLowerCase()));
  const used = wanted.flatMap((p) => (p.aliases || []).map((alias) => ({ ref: `${p.name}@${alias}`, policy: p })));
  const newest = [...new Map([...wanted].reverse().map((p) => [p.name, p])).values()].reverse();
  return html`
    <div class="field short"><label for="find">Find</label><input id="find" type="search" value=${text} onInput=${(e) => setText(e.currentTarget.value)} placeholder="name, problem or alias" /></div>
    ${used.length > 0 && html`<${Sheet} title="In use"><${Table} items=${used} /><//>`}
    <${Sheet} title=${used.length ? "All, newest versions" : "Policies, newest versions"}>
      ${newest.length ? html`<${Table} items=${newest.slice(0, MOST_SHOWN).map((policy) => ({ ref: policy.name, policy }))} />` : html`<p class="soft">None fits what you typed.</p>`}
      ${newest.length > MOST_SHOWN && html`<p class="small soft">The first ${MOST_SHOWN} of ${newest.length}; type to find others.</p>`}
    <//>`;
}

function Table({ items }) {
  const title = useTitles();
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Policies to decide with"><table>
    <thead><tr><th>Policy</th><th>Version</th><th>Problem</th><th>By</th><th>Last asked</th><th></th></tr></thead>
    <tbody>${items.map(({ ref, policy }) => html`<tr key=${ref}>
    <td><a href=${href(`/decide/${encodeURIComponent(ref)}`)}><b>${ref}</b></a></td><td>${policy.version}</td><td>${title(policy.problem)}</td><td>${short(title(policy.solver))}</td>
    <td>${policy.last_recommendation ? html`${ago(policy.last_recommendation.created_at)} <${Tag} state=${policy.last_recommendation.outcome}>${policy.last_recommendation.outcome === "pending" ? "not judged yet" : policy.last_recommendation.outcome}<//>` : html`<span class="soft">never</span>`}</td>
    <td>${!policy.recommended_for_use && html`<${Tag} tone="warn">not recommended for use<//>`}</td></tr>`)}</tbody>
  </table></div>`;
}
