// The planner's own scenarios: a set chosen, or a new one uploaded as CSV.
import { html, useRef, useState } from "../../lib/ui.js";
import { api, collect } from "../../lib/api.js";
import { number } from "../../lib/format.js";
import { useGet, useLoad } from "../../lib/load.js";
import { Act } from "../../parts/dialog.js";
import { Loaded, toast } from "../../parts/notice.js";

export function ScenarioSet({ draft, change, instances }) {
  const sets = useLoad(() => collect(`/v1/scenario-sets?problem=${draft.problem}`, 1000), [draft.problem]);
  const uploaded = (set) => { change({ set: set.id }); sets.reload(); toast(`${set.scenarios} scenarios were read.`); };
  return html`<div class="stack">
    <${Loaded} of=${sets} what="scenario sets">${(list) => html`<div class="field"><label for="set">Scenario set</label>
      <select id="set" value=${draft.set} onChange=${(e) => change({ set: e.currentTarget.value })}>
        <option value="">${list.length ? "choose one" : "none yet: upload one below"}</option>
        ${list.map((s) => html`<option value=${s.id}>${s.name || s.id}: ${number(s.scenarios)} of ${s.stages} × ${s.places.length} ${s.quantity}</option>`)}</select>
      <span class="help">It fits every instance with the same places and as many stages.</span></div>`}<//>
    <details><summary>Upload a new set</summary><${Upload} key=${draft.instances[0]} instanceId=${draft.instances[0]} instances=${instances} onDone=${uploaded} /></details>
  </div>`;
}

function Upload({ instanceId, instances, onDone }) {
  const form = useRef(null);
  const [faults, setFaults] = useState([]);
  const shape = useGet(instanceId ? `/v1/instances/${instanceId}/scenario-schema` : null);
  if (!instanceId) return html`<p class="soft">Choose an instance first: it says which places and how many stages a scenario has.</p>`;
  const send = async () => {
    setFaults([]);
    try {
      onDone(await api("POST", "/v1/scenario-sets", { form: new FormData(form.current) }));
    } catch (error) {
      setFaults(error.errors || []);
      throw error;
    }
  };
  return html`<${Loaded} of=${shape} what="what a scenario holds">${(of) => html`
    <form ref=${form} class="stack" onSubmit=${(e) => e.preventDefault()}>
      <p>A CSV file with the columns ${of.csv_columns.map((c, i) => html`${i > 0 ? ", " : ""}<code>${c}</code>`)}: ${of.quantity} [${of.unit}] of ${instances.find((i) => i.id === instanceId)?.name}, a row for each scenario and ${of.stage_word}, ${number(of.stages)} ${of.stage_word}s from 0.</p>
      <input type="hidden" name="instance_id" value=${instanceId} />
      <div class="form">
        <div class="field"><label for="set-name">Name</label><input id="set-name" name="name" placeholder="for example dry-years" required />${faultOf(faults, "/name")}</div>
        <div class="field"><label for="set-file">File</label><input id="set-file" name="scenarios" type="file" accept=".csv,text/csv" />${faultOf(faults, "/scenarios")}</div>
      </div>
      <${Act} className="" label="Upload" busyLabel="Reading …" action=${send} />
    </form>`}<//>`;
}

const faultOf = (faults, pointer) => faults.filter((f) => f.pointer.startsWith(pointer)).slice(0, 5).map((f) => html`<span class="fault">${f.detail}</span>`);
