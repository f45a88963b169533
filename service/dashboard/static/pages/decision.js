// One decision of the past in full: the state, the recommendation, the judgement.
import { html, useMemo } from "../lib/ui.js";
import { get } from "../lib/api.js";
import { useLoad } from "../lib/load.js";
import { when } from "../lib/format.js";
import { href } from "../lib/router.js";
import { readable } from "../lib/document.js";
import { Loaded } from "../parts/notice.js";
import { Page, Sheet } from "../parts/page.js";
import { Tables } from "../parts/readable.js";
import { Recommendation } from "./decide/recommendation.js";

export default function Decision({ params }) {
  const found = useLoad(async () => {
    const record = await get(`/v1/recommendations/${params.id}`);
    return { record, wants: await get(`/v1/policies/${record.policy_id}/state`) };
  }, [params.id]);
  return html`<${Page} title="Decision" crumbs=${[["Decide", "#/decide"], ["Decisions", "#/decisions"]]}>
    <${Loaded} of=${found} what="the decision">${({ record, wants }) => html`<${Full} record=${record} wants=${wants} reload=${found.reload} />`}<//>
  <//>`;
}

function Full({ record, wants, reload }) {
  const policy = record.response.policy;
  const state = record.request.state ?? record.response.state;
  const read = useMemo(() => (state ? readable(state) : null), [record]);
  return html`
    <${Sheet}><dl>
      <dt>Asked</dt><dd>${when(record.created_at)}</dd>
      ${policy && html`<dt>Policy</dt><dd><a href=${href(`/policies/${policy.id}`)}>${policy.name}:${policy.version}</a></dd>`}
      <dt>Id</dt><dd class="mono">${record.id}</dd>
    </dl><//>
    <${Recommendation} record=${record} wants=${wants} reload=${reload} />
    ${read && html`<${Sheet} title="State it was asked for"><${Tables} of=${read} /><//>`}
    <${Sheet} title="The full document"><details><summary>As JSON</summary><pre tabindex="0" class="scroll">${JSON.stringify(record, null, 2)}</pre></details><//>`;
}
