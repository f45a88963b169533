// A stored document to look at: plain values as a list, lists of records as tables, the rest as JSON.
import { html, useMemo, useState } from "../../lib/ui.js";
import { useGet } from "../../lib/load.js";
import { compactJson, number, words } from "../../lib/format.js";
import { fieldsOf, headingOf, helpOf, isSimple, labelOf, valuesOf, widthOf } from "../../lib/schema.js";
import { cellOf, entriesOf, isIdle, keyed, rowsOf, valueField } from "../../lib/records.js";
import { Grid } from "../../parts/grid.js";
import { Sheet } from "../../parts/page.js";
import { Loaded } from "../../parts/notice.js";

const FEW = 30; // rows that need no filter

export function Facts({ problem, document }) {
  const schema = useGet(`/v1/problems/${problem}/schema`);
  return html`<${Loaded} of=${schema} what="the meaning of the fields">${(root) => html`<${Parts} root=${root} document=${document} />`}<//>`;
}

function Parts({ root, document }) {
  const fields = fieldsOf(root, root).filter((f) => f.schema.const === undefined && !isEmpty(document[f.name]));
  const simple = fields.filter((f) => f.shape === "simple");
  return html`
    <${Sheet} title="General"><dl class="facts">${simple.map((f) => html`<dt title=${helpOf(f.schema)}>${labelOf(f)[0]}</dt><dd>${plain(f, document[f.name])}</dd>`)}</dl><//>
    ${fields.filter((f) => f.shape !== "simple").map((f) => html`<${Sheet} key=${f.name} title=${words(f.name)}>${f.schema.description && html`<p class="soft small">${f.schema.description}</p>`}<${Part} field=${f} root=${root} value=${document[f.name]} /><//>`)}
    <${Whole} document=${document} />`;
}

const isEmpty = (value) => value === null || value === undefined || (typeof value === "object" && !Object.keys(value).length);
const plain = (field, value) => [typeof value === "number" ? number(value, 8) : typeof value === "boolean" ? (value ? "yes" : "no") : String(value), labelOf(field)[1]].join(" ").trim();

function Part({ field, root, value }) {
  const { schema, shape } = field;
  if (shape === "records") return html`<${Table} label=${words(field.name)} fields=${fieldsOf(schema.items, root)} records=${value} />`;
  if (shape === "map") {
    const values = valuesOf(schema, root);
    const simple = isSimple(values);
    return html`<${Table} label=${words(field.name)} fields=${keyed(simple ? [valueField(values, "simple")] : fieldsOf(values, root))} records=${entriesOf(value, simple)} />`;
  }
  const own = shape === "choice" ? schema.oneOf.map((s) => fieldsOf(s, root)).find((fields) => fields.some((f) => f.schema.const !== undefined && f.schema.const === value[f.name])) : shape === "object" ? fieldsOf(schema, root) : null;
  if (!own) return html`<${Json} value=${value} label=${words(field.name)} />`;
  const given = own.filter((f) => !isEmpty(value[f.name]));
  return html`<dl class="facts">${given.filter((f) => f.shape === "simple").map((f) => html`<dt title=${helpOf(f.schema)}>${labelOf(f)[0]}</dt><dd>${plain(f, value[f.name])}</dd>`)}</dl>
    ${given.filter((f) => f.shape !== "simple").map((f) => html`<div class="stack" key=${f.name}><h3>${headingOf(f)}</h3><${Part} field=${f} root=${root} value=${value[f.name]} /></div>`)}`;
}

function Table({ label, fields, records }) {
  const columns = useMemo(() => fields.filter((f) => !isIdle(f, records)).map((f) => ({
    field: cellOf(f.name), headerName: headingOf(f), headerTooltip: helpOf(f.schema), minWidth: widthOf(f), cellDataType: false, filter: records.length > FEW,
    ...(["number", "integer"].includes(f.schema.type) ? { type: "rightAligned" } : {}), valueFormatter: ({ value }) => (value === null || value === undefined ? "" : typeof value === "number" ? number(value, 8) : String(value)),
  })), [fields, records]);
  const rows = useMemo(() => rowsOf(records, fields), [fields, records]);
  return html`<${Grid} label=${label} columns=${columns} rows=${rows} height=${Math.min(440, 92 + 42 * Math.max(1, rows.length))} />`;
}

const Json = ({ value, label }) => html`<pre class="scroll" tabindex="0" aria-label=${label}>${compactJson(value)}</pre>`;

function Whole({ document }) {
  const [open, setOpen] = useState(false);
  return html`<details class="sheet" onToggle=${(e) => setOpen(e.currentTarget.open)}><summary>The whole document as JSON</summary>${open && html`<${Json} value=${document} label="The document" />`}</details>`;
}
