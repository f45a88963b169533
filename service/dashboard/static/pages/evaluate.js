// Evaluate: policies and classical rules on instances and scenarios; what was evaluated before.
import { html } from "../lib/ui.js";
import { collect, get } from "../lib/api.js";
import { when } from "../lib/format.js";
import { useLoad } from "../lib/load.js";
import { href } from "../lib/router.js";
import { Empty, Loaded } from "../parts/notice.js";
import { Page, Sheet } from "../parts/page.js";
import { Form } from "./evaluate/form.js";

export default function Evaluate({ query }) {
  const known = useLoad(async () => {
    const [policies, instances, past] = await Promise.all([collect("/v1/policies", 2000), collect("/v1/instances", 2000), get("/v1/evaluations?limit=20")]);
    return { policies, instances, past: past.items };
  }, []);
  return html`<${Page} title="Evaluate" lead="Compare policies and classical rules on the same scenarios, on one instance or many."
    actions=${html`<a class="button" href="#/what-if">What if …</a>`}>
    <${Loaded} of=${known} what="policies and instances">${({ policies, instances, past }) => html`
      ${policies.length ? html`<${Sheet} title="A new comparison"><${Form} policies=${policies} instances=${instances} query=${query} /><//>`
        : html`<${Empty}><p>There is no policy to evaluate yet.</p><a class="button main" href="#/train">Train one</a><//>`}
      ${past.length > 0 && html`<${Sheet} title="Evaluated before"><${Past} past=${past} instances=${instances} /><//>`}`}<//>
  <//>`;
}

function Past({ past, instances }) {
  const names = new Map(instances.map((i) => [i.id, i.name]));
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Evaluations of the past"><table>
    <thead><tr><th>When</th><th>Instance</th><th></th></tr></thead>
    <tbody>${past.map((e) => html`<tr key=${e.id}><td>${when(e.created_at)}</td><td>${names.get(e.instance_id) ?? e.instance_id}</td><td><a href=${href(`/evaluations/${e.id}`)}>Open</a></td></tr>`)}</tbody>
  </table></div>`;
}
