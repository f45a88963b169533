// Published case files and CSV as an instance: the formats, files and options are those the problem names.
import { html, useState } from "../../lib/ui.js";
import { call } from "../../lib/api.js";
import { dropDraft, useDraft } from "../../lib/drafts.js";
import { useGet } from "../../lib/load.js";
import { go } from "../../lib/router.js";
import { words } from "../../lib/format.js";
import { Empty, Loaded, toast } from "../../parts/notice.js";
import { Act } from "../../parts/dialog.js";

export function Importers({ problem }) {
  const whole = useGet(`/v1/problems/${problem.name}`);
  return html`<${Loaded} of=${whole} what="the formats">${({ importers }) => (importers.length ? html`<${Choice} problem=${problem.name} importers=${importers} />`
    : html`<${Empty}>No file format is known for this problem: use a JSON file.<//>`)}<//>`;
}

function Choice({ problem, importers }) {
  const [format, setFormat] = useState(importers[0].format);
  const chosen = importers.find((i) => i.format === format);
  return html`<div class="stack">
    <div class="field narrow"><label for="format">Format</label><select id="format" value=${format} onChange=${(e) => setFormat(e.currentTarget.value)}>
      ${importers.map((i) => html`<option value=${i.format}>${i.title}</option>`)}</select></div>
    <${Form} key=${format} problem=${problem} importer=${chosen} />
  </div>`;
}

function Form({ problem, importer }) {
  const [files, setFiles] = useState({});
  const name = `import.${problem}.${importer.format}`;
  const [options, setOptions] = useDraft(name, {});
  const needed = Object.keys(importer.files).filter((file) => !files[file]);
  const send = async () => {
    const form = new FormData();
    form.append("problem", problem);
    form.append("format", importer.format);
    for (const [field, file] of Object.entries(files)) if (file) form.append(field, await contentOf(file), file.name);
    for (const [field, text] of Object.entries(options)) if (text !== "") form.append(field, text);
    const { data, status } = await call("POST", "/v1/instances/import", { form, headers: { "Idempotency-Key": crypto.randomUUID() } });
    dropDraft(name);
    toast(status === 201 ? `${data.name} is stored.` : `This content is stored already, as ${data.name}.`);
    go(`/instances/${data.id}`);
  };
  const choose = (field) => (event) => setFiles({ ...files, [field]: event.currentTarget.files[0] });
  return html`<div class="stack">
    <h3>Files</h3>
    <div class="form">${Object.entries(importer.files).map(([field, help]) => html`<${FileField} key=${field} ...${{ field, help, onChange: choose(field), needed: true }} />`)}
      ${Object.entries(importer.optional_files || {}).map(([field, help]) => html`<${FileField} key=${field} ...${{ field, help, onChange: choose(field) }} />`)}</div>
    ${Object.keys(importer.options || {}).length > 0 && html`<h3>Options</h3><div class="form">${Object.entries(importer.options).map(([field, help]) => html`<div class="field" key=${field}>
      <label for=${`option-${field}`}>${words(field)}</label><input id=${`option-${field}`} value=${options[field] ?? ""} aria-describedby=${`option-${field}-help`}
        onInput=${(e) => setOptions({ ...options, [field]: e.currentTarget.value })} /><span class="help" id=${`option-${field}-help`}>${help}</span></div>`)}</div>`}
    ${needed.length > 0 && html`<p class="soft small">Still needed: ${needed.map((f) => words(f).toLowerCase()).join(", ")}.</p>`}
    <${Act} label="Import" busyLabel="Reading the files …" action=${send} disabled=${needed.length > 0} />
  </div>`;
}

/** A file's content as it is now; the browser refuses one that was changed on disk since it was chosen. */
async function contentOf(file) {
  try {
    return new Blob([await file.arrayBuffer()]);
  } catch {
    throw Object.assign(new Error(`${file.name} was changed since it was chosen: choose it again.`), { title: "File not readable" });
  }
}

const FileField = ({ field, help, onChange, needed }) => html`<div class="field"><label for=${`file-${field}`}>${words(field)}${needed ? html` <span class="soft" title="needed">*</span>` : ""}</label>
  <input id=${`file-${field}`} type="file" onChange=${onChange} aria-describedby=${`file-${field}-help`} /><span class="help" id=${`file-${field}-help`}>${help}</span></div>`;
