// Choosing several of many: boxes to tick, with a search where they are many.
import { html, useState } from "../lib/ui.js";

const SEARCH_FROM = 8;
const MOST_SHOWN = 200;

/** `options` are [value, text, note]; `chosen` is the list of values; `faults` {value: text} stand at their option. */
export function Checklist({ id, label, help, options, chosen, onChange, faults = {}, empty = "There is nothing to choose from." }) {
  const [text, setText] = useState("");
  const wanted = options.filter(([value, name, note]) => chosen.includes(value) || `${name} ${note || ""}`.toLowerCase().includes(text.trim().toLowerCase()));
  const shown = wanted.slice(0, MOST_SHOWN);
  const toggle = (value, on) => onChange(on ? [...chosen, value] : chosen.filter((v) => v !== value));
  return html`<fieldset class="checklist">
    <legend>${label}${chosen.length > 0 && html` <span class="soft">(${chosen.length} chosen)</span>`}</legend>
    ${help && html`<p class="small soft">${help}</p>`}
    ${options.length > SEARCH_FROM && html`<input type="search" aria-label=${`Find among ${label.toLowerCase()}`} placeholder="Find" value=${text} onInput=${(e) => setText(e.currentTarget.value)} />`}
    ${options.length === 0 ? html`<p class="soft">${empty}</p>` : html`<div class="options" tabindex=${shown.length > SEARCH_FROM ? 0 : undefined} role="group" aria-label=${label}>
      ${shown.map(([value, name, note]) => html`<div key=${value}>
        <label class="tick" for=${`${id}-${value}`}><input type="checkbox" id=${`${id}-${value}`} checked=${chosen.includes(value)} onChange=${(e) => toggle(value, e.currentTarget.checked)} />
          <span>${name}${note && html` <span class="soft small">${note}</span>`}</span></label>
        ${faults[value] && html`<span class="fault">${faults[value]}</span>`}</div>`)}</div>`}
    ${wanted.length > shown.length && html`<p class="small soft">The first ${MOST_SHOWN} of ${wanted.length}; type to find others.</p>`}
  </fieldset>`;
}
