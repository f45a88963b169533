// A resource of the API as a file: for a spreadsheet, or as it is.
import { html, useState } from "../lib/ui.js";
import { download } from "../lib/api.js";
import { Problem } from "./notice.js";

const FORMS = [["CSV", "text/csv", "csv"], ["Excel", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"], ["JSON", "application/json", "json"]];

/** Buttons that save what lies at `path` under each form it has; `name` is the file's, without its ending. */
export function Downloads({ path, name, forms = FORMS }) {
  const [error, setError] = useState(null);
  const save = (accept, ending) => download("GET", path, { accept, headers: { Accept: accept } }, `${name}.${ending}`).then(() => setError(null), setError);
  return html`<div class="stack"><div class="row"><span class="soft small">Save as</span>
    ${forms.map(([label, accept, ending]) => html`<button key=${label} onClick=${() => save(accept, ending)}>${label}</button>`)}</div>
    <${Problem} error=${error} /></div>`;
}
