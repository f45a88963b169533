// A state made of files: those the policy names, or a JSON document.
import { html, useRef, useState } from "../../lib/ui.js";
import { api } from "../../lib/api.js";
import { words } from "../../lib/format.js";
import { Act } from "../../parts/dialog.js";

export function StateFiles({ path, wants, onState }) {
  const form = useRef(null);
  const [faults, setFaults] = useState([]);
  const read = async () => {
    setFaults([]);
    const given = new FormData(form.current);
    for (const [name, value] of [...given]) if (value === "" || (value instanceof File && value.size === 0)) given.delete(name);
    try {
      onState((await api("POST", `${path}/state`, { form: given })).state);
    } catch (error) {
      setFaults(error.errors || []);
      throw error;
    }
  };
  const fault = (name) => faults.filter((f) => f.pointer === `/${name}` || f.pointer.startsWith(`/${name}/`));
  return html`<form ref=${form} class="stack" onSubmit=${(e) => e.preventDefault()}>
    <div class="form">
      ${Object.entries(wants.files).map(([key, help]) => html`<${Part} key=${key} name=${key.replace("?", "")} optional=${key.endsWith("?")} help=${help} type="file" faults=${fault(key.replace("?", ""))} />`)}
    </div>
    ${Object.keys(wants.options).length > 0 && html`<details><summary>How the files are written</summary><div class="form">
      ${Object.entries(wants.options).map(([name, help]) => html`<${Part} key=${name} name=${name} optional=${true} help=${help} type="text" faults=${fault(name)} />`)}</div></details>`}
    <${Act} className="" label="Read these files" busyLabel="Reading …" action=${read} />
  </form>`;
}

function Part({ name, optional, help, type, faults }) {
  const id = `part-${name}`;
  return html`<div class="field">
    <label for=${id}>${words(name)}${optional ? html` <span class="soft">(may be left out)</span>` : ""}</label>
    <input id=${id} name=${name} type=${type} aria-describedby="${id}-help" aria-invalid=${faults.length ? "true" : undefined} />
    <span class="help" id="${id}-help">${help}</span>
    ${faults.map((f) => html`<span class="fault">${f.detail}</span>`)}
  </div>`;
}
