// A JSON Schema (2020-12) read for forms and tables: what a place is made of, in words a planner knows.
import { number, words } from "./format.js";

/** The schema a reference stands for. */
export function resolve(schema, root) {
  let found = schema;
  while (found?.$ref) found = found.$ref.replace("#/", "").split("/").reduce((at, part) => at?.[part.replaceAll("~1", "/").replaceAll("~0", "~")], root);
  return found || {};
}

/** The alternative of a union that is not null. */
export function essence(schema, root) {
  const plain = resolve(schema, root);
  const options = (plain.anyOf || plain.oneOf || []).map((s) => resolve(s, root)).filter((s) => s.type !== "null");
  return options.length === 1 ? { ...options[0], ...plain, anyOf: undefined, oneOf: undefined, type: options[0].type } : plain;
}

/** Whether a place may hold nothing. */
export const isNullable = (schema, root) => {
  const plain = resolve(schema, root);
  return (plain.anyOf || plain.oneOf || []).some((s) => resolve(s, root).type === "null");
};

/** Whether one control is enough. */
export const isSimple = (schema) => Boolean(schema.enum) || schema.const !== undefined || ["string", "number", "integer", "boolean"].includes(schema.type);

/** What stands at every key of a map: the schema of its values, if it is one. */
export function valuesOf(schema, root) {
  if (schema.type !== "object" || schema.properties) return null;
  const given = typeof schema.additionalProperties === "object" ? schema.additionalProperties : Object.values(schema.patternProperties || {})[0];
  return given ? essence(given, root) : null;
}

/** How a place is edited: simple · records · map · choice · object · json. */
export function shapeOf(schema, root) {
  if (isSimple(schema)) return "simple";
  if (schema.type === "array" && schema.items && essence(schema.items, root).properties) return "records";
  const values = valuesOf(schema, root);
  if (values && (isSimple(values) || (values.properties && !values.properties.key))) return "map";
  if (schema.oneOf && schema.discriminator) return "choice";
  return schema.properties ? "object" : "json";
}

/** The fields of an object as [{name, schema, nullable, required, shape}], in the order of its schema. */
export function fieldsOf(schema, root) {
  const whole = resolve(schema, root);
  return Object.entries(whole.properties || {}).map(([name, given]) => {
    const own = essence(given, root);
    return { name, schema: own, nullable: isNullable(given, root), required: (whole.required || []).includes(name), shape: shapeOf(own, root) };
  });
}

/** The alternatives of a choice: [{tag, schema}] and the field that says which. */
export function choicesOf(schema, root) {
  const by = schema.discriminator.propertyName;
  return { by, options: schema.oneOf.map((given) => ({ tag: resolve(given, root).properties[by].const, schema: resolve(given, root) })) };
}

/** The least a place of this schema can hold: what is needed, as far as the schema knows it. */
export function blankOf(schema, root) {
  const own = essence(schema, root);
  if (own.default !== undefined && own.default !== null) return own.default;
  if (own.const !== undefined) return own.const;
  if (own.oneOf && own.discriminator) return blankOf(choicesOf(own, root).options[0].schema, root);
  if (own.properties) {
    const needed = fieldsOf(own, root).filter((f) => f.required || f.schema.const !== undefined);
    return Object.fromEntries(needed.map((f) => [f.name, blankOf(f.schema, root)]).filter(([, value]) => value !== undefined));
  }
  return { object: {}, array: [] }[own.type];
}

/** The bounds of a number in words. */
export function boundsOf(schema) {
  const low = schema.minimum ?? schema.exclusiveMinimum;
  const high = schema.maximum ?? schema.exclusiveMaximum;
  const above = schema.minimum === undefined ? "Above" : "At least";
  const below = schema.maximum === undefined ? "Below" : "At most";
  if (low !== undefined && high !== undefined && Math.abs(high) < 1e6) return `${above} ${number(low, 8)}, ${below.toLowerCase()} ${number(high, 8)}.`;
  if (low !== undefined) return `${above} ${number(low, 8)}.`;
  return high !== undefined ? `${below} ${number(high, 8)}.` : "";
}

/** What a field is, with its bounds. */
export const helpOf = (schema) => [schema.description?.replaceAll("`", ""), schema.unit && `[${schema.unit}]`, boundsOf(schema)].filter(Boolean).join(" ");

/** The unit that stands in brackets in a field's description. */
export const unitOf = (schema) => schema.unit || /\[([^\]]+)\]/.exec(schema.description || "")?.[1] || "";

const DIGITS = { "²": "2", "³": "3", "⁻": "-" };
const bare = (text) => text.toLowerCase().replace(/[²³⁻]/g, (c) => DIGITS[c]).replace(/[^a-z0-9-]/g, "");
const LONGEST_UNIT = 24;

/** A field's words and its unit apart: `cost_per_mwh` in money/MWh → ["Cost", "money/MWh"]. */
export function labelOf({ name, schema }) {
  const unit = unitOf(schema).length < LONGEST_UNIT ? unitOf(schema) : "";
  const parts = name.split("_");
  for (let from = 1; unit && from < parts.length; from++) {
    const tail = bare(parts.slice(from).filter((part) => part !== "per").join(""));
    const isPer = parts[from] === "per" && unit.includes("/");
    if (tail === bare(unit) || (isPer && tail === bare(unit.slice(unit.indexOf("/") + 1)))) return [words(parts.slice(0, from).join("_")), unit];
  }
  return [words(name), unit];
}

/** A heading for a field: its words with its unit in brackets, and how wide a column must be to show it. */
export const headingOf = (field) => labelOf(field).filter(Boolean).map((text, i) => (i ? `[${text}]` : text)).join(" ");
export const widthOf = (field) => Math.max(104, 48 + 8.5 * Math.max(...headingOf(field).split(" ").map((word) => word.length)));
