// A recommendation as a file for a spreadsheet.
import { html, useState } from "../../lib/ui.js";
import { download } from "../../lib/api.js";
import { Problem } from "../../parts/notice.js";

const FORMS = [["JSON", "application/json", "json"]];

/** Buttons that save a resource of the API under each form it has. */
export function Downloads({ path, name, forms = FORMS }) {
  const [error, setError] = useState(null);
  const save = (accept, ending) => download("GET", path, { accept, headers: {} }, `${name}.${ending}`).then(() => setError(null), setError);
  return html`<div class="stack"><div class="row"><span class="soft small">Save as</span>
    ${forms.map(([label, accept, ending]) => html`<button key=${label} onClick=${() => save(accept, ending)}>${label}</button>`)}</div>
    <${Problem} error=${error} /></div>`;
}

export const Export = ({ record }) => html`<${Downloads} path=${`/v1/recommendations/${record.id}`} name=${record.id} />`;
