// A whole document by its JSON Schema: a form for what is simple, tables for lists of records, JSON text for the rest.
import { html, useMemo, useState } from "../lib/ui.js";
import { compactJson, number, words } from "../lib/format.js";
import { blankOf, choicesOf, fieldsOf, helpOf, labelOf } from "../lib/schema.js";
import { pointerOf, pointerParts } from "../lib/document.js";
import { seriesOf } from "../lib/series.js";
import { Tabs } from "./page.js";
import { JsonControl, Said, SchemaForm } from "./schema_form.js";
import { Records } from "./records.js";
import { Series } from "./series.js";

const below = (issues, prefix) => issues.filter((i) => i.pointer === prefix || i.pointer.startsWith(`${prefix}/`));
const errorsOf = (issues) => issues.filter((i) => i.severity === "error");

/**
 * The editor of a document, in tabs. `tab` and `onTab` are the page's own; `broken` is JSON text that cannot be read yet
 * ({text, why} or null), told by `onText`.
 */
export function DocumentEditor({ schema, value, onChange, issues, tab, onTab, broken, onText }) {
  const fields = useMemo(() => fieldsOf(schema, schema), [schema]);
  const large = fields.filter((f) => f.shape !== "simple");
  const simple = fields.filter((f) => f.shape === "simple").map((f) => f.name);
  const wholly = issues.filter((i) => i.pointer === "" || simple.some((name) => i.pointer.startsWith(`/${name}`) && pointerParts(i.pointer)[0] === name));
  const tabs = [
    ["general", marked("General", wholly), () => html`<${General} ...${{ schema, value, onChange, issues, large }} />`],
    ...large.map((f) => [f.name, marked(`${words(f.name)}${countOf(value?.[f.name])}`, below(issues, `/${f.name}`)), () => html`<${Place} field=${f} root=${schema} value=${value?.[f.name]}
      onChange=${(next) => onChange(withPart(value, f.name, next))} issues=${issues} prefix=${`/${f.name}`} />`]),
    ["json", "As JSON", () => html`<${Text} ...${{ value, onChange, issues, broken, onText }} />`],
  ];
  return html`<${Tabs} label="Parts of the document" tabs=${tabs} current=${broken ? "json" : tab} onChange=${onTab} />`;
}

/** The tab that shows a pointer. */
export function tabOf(pointer, schema) {
  const name = pointerParts(pointer)[0];
  const field = fieldsOf(schema, schema).find((f) => f.name === name);
  return !field || field.shape === "simple" ? "general" : name;
}

function withPart(object, name, next) {
  if (next !== undefined) return { ...object, [name]: next };
  const { [name]: _, ...rest } = object || {};
  return rest;
}

function countOf(value) {
  if (value === null || value === undefined) return "";
  return Array.isArray(value) ? ` (${number(value.length)})` : "";
}

function marked(label, issues) {
  const count = errorsOf(issues).length;
  return count ? html`${label} <span class="count bad" aria-label=${`${count} to correct`}>${count}</span>` : label;
}

function General({ schema, value, onChange, issues, large }) {
  const unknown = issues.filter((i) => i.pointer === "" || !(pointerParts(i.pointer)[0] in (schema.properties || {})));
  return html`
    <${Said} issues=${unknown.map((i) => ({ ...i, detail: `${i.pointer ? `${i.pointer.slice(1)}: ` : ""}${i.detail}.` }))} id="general-said" />
    <${SchemaForm} id="document" schema=${schema} value=${value} onChange=${onChange} errors=${issues} skip=${large.map((f) => f.name)} />`;
}

/** One field of any shape but a simple one. */
function Place({ field, root, value, onChange, issues, prefix }) {
  const { schema, shape } = field;
  const help = helpOf(schema);
  const own = issues.filter((i) => i.pointer === prefix);
  const [label, unit] = labelOf(field);
  const series = shape === "json" ? seriesOf(schema, root) : null;
  const draw = (record) => html`<${ObjectEditor} root=${root} issues=${issues} ...${record} />`;
  const shared = { schema, root, value, onChange, issues, prefix };
  return html`<div class="stack place" role="group" aria-label=${label}>
    ${help && html`<p class="soft small">${help}</p>`}
    ${shape !== "records" && shape !== "map" && !series && html`<${Said} issues=${own} id=${`said${prefix}`} />`}
    ${(shape === "records" || shape === "map") && html`<${Records} ...${shared} label=${label} draw=${draw} />`}
    ${shape === "choice" && html`<${Choice} ...${shared} label=${label} />`}
    ${shape === "object" && html`<${Optional} ...${shared} field=${field} label=${label} />`}
    ${series && html`<${Series} ...${shared} kind=${series} label=${label} unit=${unit} placeholder=${schema.default ? JSON.stringify(schema.default) : ""} />`}
    ${shape === "json" && !series && html`<${JsonControl} value=${value ?? undefined} onChange=${onChange} most=${24} placeholder=${schema.default ? JSON.stringify(schema.default) : ""}
      shared=${{ id: `json${prefix}`, "aria-label": label, "aria-invalid": errorsOf(below(issues, prefix)).length ? "true" : undefined }} />
      <${Said} issues=${below(issues, prefix).filter((i) => i.pointer !== prefix).map((i) => ({ ...i, detail: `${i.pointer}: ${i.detail}.` }))} id=${`said-in${prefix}`} />`}
  </div>`;
}

/** An object's fields: the simple ones as a form, then every other under its name. */
export function ObjectEditor({ schema, root, value, onChange, issues, prefix, skip = [] }) {
  const large = fieldsOf(schema, root).filter((f) => f.shape !== "simple" && !skip.includes(f.name));
  return html`<div class="stack">
    <${SchemaForm} id=${`at${prefix.replaceAll("/", "-")}`} schema=${schema} root=${root} value=${value} onChange=${onChange} errors=${issues} prefix=${prefix} skip=${[...skip, ...large.map((f) => f.name)]} />
    ${large.map((f) => html`<section class="stack part" key=${f.name}><h3>${labelOf(f)[0]}${f.required ? "" : html` <span class="soft small">may be left out</span>`}</h3>
      <${Place} field=${f} root=${root} value=${value?.[f.name]} issues=${issues} prefix=${prefix + pointerOf([f.name])} onChange=${(next) => onChange(withPart(value, f.name, next))} /></section>`)}
  </div>`;
}

/** One of several kinds of object; what was typed for another kind is kept while the page is open. */
function Choice({ schema, root, value, onChange, issues, prefix, label }) {
  const { by, options } = choicesOf(schema, root);
  const [kept, keep] = useState({});
  const current = options.find((o) => o.tag === value?.[by]);
  const choose = (tag) => {
    keep((old) => ({ ...old, [value?.[by]]: value }));
    onChange(kept[tag] || { ...blankOf(options.find((o) => o.tag === tag).schema, root), [by]: tag });
  };
  const id = `choice${prefix}`;
  return html`<div class="stack">
    <div class="field narrow"><label for=${id}>${label}: ${words(by).toLowerCase()}</label>
      <select id=${id} value=${current?.tag ?? ""} onChange=${(e) => choose(e.currentTarget.value)}>
        ${!current && html`<option value="">Choose …</option>`}
        ${options.map((o) => html`<option value=${o.tag}>${words(o.tag)}</option>`)}</select>
      ${current?.schema.description && html`<span class="help">${current.schema.description}</span>`}</div>
    ${current && html`<${ObjectEditor} key=${current.tag} schema=${current.schema} root=${root} value=${value} onChange=${onChange} issues=${issues} prefix=${prefix} skip=${[by]} />`}
  </div>`;
}

function Optional({ field, schema, root, value, onChange, issues, prefix, label }) {
  const has = value !== null && value !== undefined;
  if (!has) return html`<div class="row"><span class="soft">Not given.</span><button onClick=${() => onChange(blankOf({ ...schema, default: undefined }, root) ?? {})}>Add ${label.toLowerCase()}</button></div>`;
  return html`${!field.required && html`<div><button onClick=${() => onChange(field.nullable ? null : undefined)}>Leave out ${label.toLowerCase()}</button></div>`}
    <${ObjectEditor} schema=${schema} root=${root} value=${value} onChange=${onChange} issues=${issues} prefix=${prefix} />`;
}

function Text({ value, onChange, issues, broken, onText }) {
  const [shown, setShown] = useState(() => broken?.text ?? compactJson(value));
  const type = (event) => {
    const text = event.currentTarget.value;
    setShown(text);
    try {
      const made = JSON.parse(text);
      onText(null);
      onChange(made);
    } catch (error) {
      onText({ text, why: error.message });
    }
  };
  const bad = errorsOf(issues);
  return html`<div class="field">
    <label for="document-text">The whole document as JSON</label>
    <textarea id="document-text" rows="28" spellcheck="false" value=${shown} onInput=${type} aria-invalid=${broken || bad.length ? "true" : undefined} aria-describedby="document-text-said"></textarea>
    <div id="document-text-said" aria-live="polite">
      ${broken ? html`<span class="fault">This is no JSON yet: ${broken.why}. The other parts open again when it is.</span>`
        : issues.slice(0, 20).map((i) => html`<div class=${i.severity === "error" ? "fault" : "remark"}><code>${i.pointer || "/"}</code> ${i.detail}</div>`)}
    </div></div>`;
}
