// A form drawn from a JSON Schema (2020-12): labels, help, bounds and choices come from the schema, faults from the API.
import { html, useEffect, useRef, useState } from "../lib/ui.js";
import { compactJson, words, number } from "../lib/format.js";
import { essence, helpOf, isNullable, isSimple, resolve } from "../lib/schema.js";

/**
 * Fields of an object's simple properties. `value` is the object, `onChange(next)` gets a new one without the fields
 * left empty; `errors` are the API's [{pointer, detail, severity}], shown beside the field they name. What is not simple
 * (lists, objects) is edited as JSON text unless `skip` names it.
 */
export function SchemaForm({ schema, root = schema, value, onChange, errors = [], prefix = "", skip = [], id = "f" }) {
  const whole = resolve(schema, root);
  const names = Object.keys(whole.properties || {}).filter((name) => !skip.includes(name));
  return html`<div class="form">${names.map((name) => html`<${Field} key=${name} name=${name} schema=${essence(whole.properties[name], root)} root=${root}
    nullable=${isNullable(whole.properties[name], root)} required=${(whole.required || []).includes(name)} value=${value?.[name]} id=${`${id}-${name}`}
    fault=${errors.filter((e) => e.pointer === `${prefix}/${name}` || e.pointer.startsWith(`${prefix}/${name}/`))}
    onChange=${(next) => onChange(withField(value, name, next))} />`)}</div>`;
}

function withField(object, name, value) {
  if (value !== undefined) return { ...object, [name]: value };
  const { [name]: _, ...rest } = object || {};
  return rest;
}

const isFault = (issue) => !issue.severity || issue.severity === "error";

/** What is wrong with, or unusual in, the field above. */
export const Said = ({ issues, id }) => issues.length > 0 && html`<span class=${issues.some(isFault) ? "fault" : "remark"} id=${id}>${issues.map((f) => f.detail).join(" ")}</span>`;

function Field({ name, schema, root, nullable, required, value, onChange, fault, id }) {
  const help = helpOf(schema);
  const about = [help && `${id}-help`, fault.length && `${id}-fault`].filter(Boolean).join(" ") || undefined;
  const shared = { id, "aria-describedby": about, "aria-invalid": fault.some(isFault) ? "true" : undefined };
  const simple = isSimple(schema);
  return html`<div class="field ${simple ? "" : "wide"}">
    <label for=${id}>${words(name)}${required ? html` <span class="soft" title="needed">*</span>` : ""}</label>
    ${simple ? html`<${Control} schema=${schema} value=${value} onChange=${onChange} shared=${shared} nullable=${nullable || !required} />`
      : html`<${JsonControl} value=${value} onChange=${onChange} shared=${shared} placeholder=${schema.default === undefined ? "" : JSON.stringify(schema.default)} />`}
    ${help && html`<span class="help" id=${`${id}-help`}>${help}</span>`}
    <${Said} issues=${fault} id=${`${id}-fault`} />
  </div>`;
}

function Control({ schema, value, onChange, shared, nullable }) {
  if (schema.const !== undefined) return html`<input ...${shared} value=${schema.const} disabled />`;
  if (schema.enum) {
    return html`<select ...${shared} value=${value ?? ""} onChange=${(e) => onChange(e.currentTarget.value === "" ? undefined : schema.enum.find((o) => String(o) === e.currentTarget.value))}>
      ${nullable && html`<option value="">${schema.default !== undefined && schema.default !== null ? `default: ${schema.default}` : "–"}</option>`}
      ${schema.enum.map((o) => html`<option value=${String(o)}>${String(o)}</option>`)}</select>`;
  }
  if (schema.type === "boolean") {
    const shown = value ?? schema.default ?? false;
    return html`<div><input type="checkbox" ...${shared} checked=${shown} onChange=${(e) => onChange(e.currentTarget.checked)} /></div>`;
  }
  const isNumber = schema.type === "number" || schema.type === "integer";
  const placeholder = schema.default === undefined || schema.default === null ? "" : `default: ${isNumber ? number(schema.default, 8) : schema.default}`;
  const read = (text) => (text === "" ? undefined : isNumber && Number.isFinite(Number(text)) ? Number(text) : text);
  return html`<${Typed} value=${value} read=${(text) => read(text.trim())} write=${(given) => String(given ?? "")} onChange=${onChange}>${(own) =>
    html`<input ...${shared} ...${own} type="text" inputmode=${isNumber ? "decimal" : "text"} placeholder=${placeholder} />`}<//>`;
}

/** Text as it is typed ("1." on the way to 1.5), told to the page at every key, and replaced when the value is changed elsewhere. */
function Typed({ value, read, write, onChange, children }) {
  const [text, setText] = useState(() => write(value));
  const told = useRef(value);
  useEffect(() => {
    if (JSON.stringify(value) === JSON.stringify(told.current)) return;
    told.current = value;
    setText(write(value));
  }, [value]);
  const type = (event) => {
    setText(event.currentTarget.value);
    told.current = read(event.currentTarget.value);
    onChange(told.current);
  };
  return children({ value: text, onInput: type });
}

/** A value edited as JSON text; text that is no JSON yet is the value, for the API to refuse by name. */
export function JsonControl({ value, onChange, shared, placeholder, most = 12 }) {
  const write = (given) => (typeof given === "string" ? given : given === undefined ? "" : compactJson(given));
  const read = (typed) => {
    if (typed.trim() === "") return undefined;
    try { return JSON.parse(typed); } catch { return typed; }
  };
  return html`<${Typed} value=${value} read=${read} write=${write} onChange=${onChange}>${(own) =>
    html`<textarea ...${shared} ...${own} rows=${Math.min(most, Math.max(2, own.value.split("\n").length))} spellcheck="false" placeholder=${placeholder}></textarea>`}<//>`;
}
