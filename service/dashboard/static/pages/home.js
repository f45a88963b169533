// Home.
import { html } from "../lib/ui.js";
import { useGet } from "../lib/load.js";
import { Page, Sheet, Stat } from "../parts/page.js";
import { Loaded } from "../parts/notice.js";

export default function Home() {
  const queue = useGet("/v1/queue");
  return html`<${Page} title="Home">
    <${Sheet} title="Jobs"><${Loaded} of=${queue} what="the queue">${(q) => html`<div class="row"><${Stat} label="Waiting" value=${q.queued} /><${Stat} label="Running" value=${q.active} /></div>`}<//><//>
  <//>`;
}
