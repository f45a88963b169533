// An empty service: from an example to a first decision in three steps, with what is done already ticked.
import { html } from "../../lib/ui.js";
import { useGet } from "../../lib/load.js";
import { href } from "../../lib/router.js";
import { Sheet } from "../../parts/page.js";
import { Loaded } from "../../parts/notice.js";

export function FirstSteps({ jobs }) {
  const instances = useGet("/v1/instances?limit=1");
  return html`<${Sheet} title="First steps"><${Loaded} of=${instances} what="the instances">${({ items }) => html`<ol class="steps">
    <${Step} done=${items.length > 0} title="Create an instance" text="Your data: what is stocked, made or generated, at what cost, under which uncertainty. Start from one of the examples."
      links=${[["Choose an example", href("/instances/new")], ["Upload your own", href("/instances/new", { tab: "file" })]]} main=${!items.length} />
    <${Step} done=${false} title="Train a policy" text=${jobs.length ? "A training is at work below; its policy appears here when it is done." : "A solver learns how to decide on your data and proves it beside the classical rules and a bound."}
      links=${items.length ? [["Train", href("/train", { instance: items[0].id })]] : []} main=${items.length > 0 && !jobs.length} />
    <${Step} done=${false} title="Decide" text="Give today's state, get the recommended decision with its reasons, and accept, change or reject it." links=${[]} />
  </ol>`}<//><//>`;
}

const Step = ({ done, title, text, links, main }) => html`<li class="step">
  <div class="stack tight"><strong>${title}${done && html` <span class="tag good">done</span>`}</strong><span class="soft">${text}</span></div>
  ${links.length > 0 && html`<div class="row">${links.map(([label, to], i) => html`<a class="button ${main && i === 0 ? "main" : ""}" href=${to}>${label}</a>`)}</div>`}</li>`;
