// What a document holds, to be read: facts, tables, and the rest as JSON.
import { html } from "../lib/ui.js";
import { heading } from "../lib/document.js";
import { number, words } from "../lib/format.js";

const MOST_ROWS = 200;

/** `of` is what `readable` of lib/document.js gives. */
export function Tables({ of }) {
  return html`
    ${of.facts.length > 0 && html`<dl>${of.facts.map(([name, value]) => html`<dt>${heading(name)}</dt><dd>${said(value)}</dd>`)}</dl>`}
    <div class="columns">${of.tables.map((table) => html`<${Table} key=${table.title} of=${table} />`)}</div>
    ${Object.keys(of.rest).length > 0 && html`<details><summary>More, as JSON</summary><pre tabindex="0" class="scroll">${JSON.stringify(of.rest, null, 2)}</pre></details>`}`;
}

const said = (value) => (value === true ? "yes" : value === false ? "no" : number(value));
const isNumber = (table, i) => table.rows.some((row) => typeof row[i] === "number");

function Table({ of }) {
  return html`<section class="stack" aria-label=${of.title}><h3>${words(of.title)}</h3>
    <div class="scroll" tabindex="0" role="region" aria-label=${`${of.title}, a table`}><table class=${of.columns.length <= 3 ? "slim" : ""}>
      <thead><tr>${of.columns.map((c, i) => html`<th class=${isNumber(of, i) ? "number" : ""} scope="col">${c || html`<span class="hidden">Name</span>`}</th>`)}</tr></thead>
      <tbody>${of.rows.slice(0, MOST_ROWS).map((row) => html`<tr>${row.map((v, i) => html`<td class=${isNumber(of, i) ? "number" : ""}>${said(v)}</td>`)}</tr>`)}</tbody>
    </table></div>
    ${of.rows.length > MOST_ROWS && html`<p class="small soft">The first ${MOST_ROWS} of ${of.rows.length} rows; the export has all.</p>`}
  </section>`;
}
