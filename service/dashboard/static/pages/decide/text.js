// A document as JSON text: typed, pasted, or read from a file; what is not JSON yet is kept as it stands.
import { html, useState } from "../../lib/ui.js";
import { saveBlob } from "../../lib/api.js";
import { dropDraft, useDraft } from "../../lib/drafts.js";

/** `draft` is where text that is no JSON yet is kept, `name` what a saved file is called after. */
export function StateText({ draft, name, value, onChange }) {
  const [text, setText] = useDraft(draft, null);
  const [fault, setFault] = useState(null);
  const shown = text ?? JSON.stringify(value, null, 2);
  const take = (typed) => {
    try {
      const read = JSON.parse(typed);
      if (read === null || typeof read !== "object" || Array.isArray(read)) throw new Error("an object in braces is needed");
      setFault(null);
      setText(null);
      dropDraft(draft);
      onChange(read);
    } catch (error) {
      setText(typed);
      setFault(error.message);
    }
  };
  return html`<div class="stack">
    <div class="field">
      <label for="state-json">The state as JSON</label>
      <textarea id="state-json" rows="14" spellcheck="false" aria-invalid=${fault ? "true" : undefined} aria-describedby="state-json-fault" value=${shown} onChange=${(e) => take(e.currentTarget.value)}></textarea>
      <span class="fault" id="state-json-fault">${fault && `This is not a state in JSON: ${fault}. The table still has the last one that was.`}</span>
    </div>
    <div class="row">
      <label for="state-file">From a file</label><input id="state-file" type="file" accept=".json,application/json" onChange=${async (e) => { const file = e.currentTarget.files[0]; if (file) take(await file.text()); }} />
      <button onClick=${() => saveBlob(new Blob([JSON.stringify(value, null, 2)], { type: "application/json" }), `${name}-state.json`)}>Save as a file</button>
    </div>
  </div>`;
}
