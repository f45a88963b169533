// One evaluation of the past.
import { html } from "../lib/ui.js";
import { get } from "../lib/api.js";
import { when } from "../lib/format.js";
import { useLoad } from "../lib/load.js";
import { href } from "../lib/router.js";
import { Loaded } from "../parts/notice.js";
import { Page } from "../parts/page.js";
import { Evaluation } from "./evaluate/view.js";

export default function OneEvaluation({ params }) {
  const found = useLoad(async () => {
    const evaluation = await get(`/v1/evaluations/${params.id}`);
    return { evaluation, instance: await get(`/v1/instances/${evaluation.instance_id}`) };
  }, [params.id]);
  const { evaluation, instance } = found.data || {};
  return html`<${Page} title=${instance ? `Evaluation on ${instance.name}` : "Evaluation"} crumbs=${[["Evaluate", "#/evaluate"]]}
    lead=${evaluation && html`${when(evaluation.created_at)} on <a href=${href(`/instances/${instance.id}`)}>${instance.name}</a>`}>
    <${Loaded} of=${found} what="the evaluation">${({ evaluation: of }) => html`<${Evaluation} of=${of} />`}<//>
  <//>`;
}
