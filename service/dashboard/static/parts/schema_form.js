// A form drawn from a JSON Schema (2020-12): labels, help, bounds and choices come from the schema, faults from the API.
import { html } from "../lib/ui.js";
import { words, number } from "../lib/format.js";

/** The schema a reference stands for. */
export function resolve(schema, root) {
  let found = schema;
  while (found?.$ref) found = found.$ref.replace("#/", "").split("/").reduce((at, part) => at?.[part.replaceAll("~1", "/").replaceAll("~0", "~")], root);
  return found || {};
}

/** The alternative of a union that is not null. */
function essence(schema, root) {
  const plain = resolve(schema, root);
  const options = (plain.anyOf || plain.oneOf || []).map((s) => resolve(s, root)).filter((s) => s.type !== "null");
  return options.length === 1 ? { ...options[0], ...plain, anyOf: undefined, type: options[0].type } : plain;
}

const isNullable = (schema, root) => (resolve(schema, root).anyOf || []).some((s) => resolve(s, root).type === "null");
const isSimple = (schema) => schema.enum || schema.const !== undefined || ["string", "number", "integer", "boolean"].includes(schema.type);

function helpOf(schema) {
  const low = schema.minimum ?? schema.exclusiveMinimum;
  const high = schema.maximum ?? schema.exclusiveMaximum;
  const bounds = low !== undefined && high !== undefined ? `${number(low)} to ${number(high)}.` : low !== undefined ? `At least ${number(low)}.` : high !== undefined ? `At most ${number(high)}.` : "";
  const unit = schema.unit || schema["x-unit"];
  return [schema.description, unit && `[${unit}]`, bounds].filter(Boolean).join(" ");
}

/**
 * Fields of an object's simple properties. `value` is the object, `onChange(next)` gets a new one without the fields
 * left empty; `errors` are the API's [{pointer, detail}], shown beside the field they name. What is not simple
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
  const { [name]: _, ...rest } = object || {};
  return value === undefined ? rest : { ...rest, [name]: value };
}

function Field({ name, schema, root, nullable, required, value, onChange, fault, id }) {
  const help = helpOf(schema);
  const about = [help && `${id}-help`, fault.length && `${id}-fault`].filter(Boolean).join(" ") || undefined;
  const shared = { id, "aria-describedby": about, "aria-invalid": fault.length ? "true" : undefined };
  const simple = isSimple(schema);
  return html`<div class="field ${simple ? "" : "wide"}">
    <label for=${id}>${words(name)}${required ? html` <span class="soft" title="needed">*</span>` : ""}</label>
    ${simple ? html`<${Control} schema=${schema} value=${value} onChange=${onChange} shared=${shared} nullable=${nullable || !required} />`
      : html`<${JsonControl} value=${value} onChange=${onChange} shared=${shared} placeholder=${schema.default === undefined ? "" : JSON.stringify(schema.default)} />`}
    ${help && html`<span class="help" id=${`${id}-help`}>${help}</span>`}
    ${fault.length > 0 && html`<span class="fault" id=${`${id}-fault`}>${fault.map((f) => f.detail).join(" ")}</span>`}
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
  return html`<input ...${shared} type="text" inputmode=${isNumber ? "decimal" : "text"} placeholder=${placeholder} value=${value ?? ""} onChange=${(e) => onChange(read(e.currentTarget.value.trim()))} />`;
}

function JsonControl({ value, onChange, shared, placeholder }) {
  const text = typeof value === "string" ? value : value === undefined ? "" : JSON.stringify(value, null, 2);
  const read = (typed) => {
    if (typed.trim() === "") return undefined;
    try { return JSON.parse(typed); } catch { return typed; }
  };
  return html`<textarea ...${shared} rows=${Math.min(12, Math.max(2, text.split("\n").length))} spellcheck="false" placeholder=${placeholder} value=${text} onChange=${(e) => onChange(read(e.currentTarget.value))}></textarea>`;
}
