// Documents of the API (states, decisions) as tables: which parts are alike enough to share one, and the way back.
import { words } from "./format.js";

const UNITS = { hm3: "hm³", m3s: "m³/s", mw: "MW", mwh: "MWh", mva: "MVA", gwh: "GWh" };

/** A field's name as a heading, its unit last: `storage_hm3` → "Storage [hm³]"; a unit in the description serves too. */
export function heading(name, description = "") {
  const parts = name.split("_");
  const at = parts.length - 1;
  const unit = at > 0 && UNITS[parts[at]];
  if (unit && parts[at - 1] === "per") return `${words(parts.slice(0, at - 1).join("_"))} [per ${unit}]`;
  if (unit) return `${words(parts.slice(0, at).join("_"))} [${unit}]`;
  const stated = /\[([^\]]{1,20})\]/.exec(description);
  return stated ? `${words(name)} [${stated[1]}]` : words(name);
}

const SCALARS = ["string", "number", "integer", "boolean"];
const isScalar = (schema) => Boolean(schema) && (schema.enum !== undefined || schema.const !== undefined || SCALARS.includes(schema.type));
const every = (object, test) => Object.keys(object || {}).length > 0 && Object.values(object).every(test);

function kindOf(schema) {
  if (isScalar(schema)) return "fields";
  if (schema.type === "object" && every(schema.properties, isScalar)) return "map";
  if (schema.type === "object" && every(schema.properties, (s) => s.type === "array" && isScalar(s.items))) return "series";
  if (schema.type === "array" && schema.items?.type === "object" && every(schema.items.properties, isScalar)) return "list";
  return "other";
}

/**
 * A schema's properties by how they are best typed: [{kind, names, keys}]. `map` (one value per key) and `series` (a list per
 * key) that have the same keys stand together, as columns of one table; `list` is a table of its own; `fields` and
 * `other` are forms.
 */
export function sections(schema) {
  const found = new Map();
  for (const [name, property] of Object.entries(schema.properties || {})) {
    const kind = kindOf(property);
    const keys = kind === "map" || kind === "series" ? Object.keys(property.properties) : [];
    const of = kind === "list" || kind === "series" ? `${kind}:${name}` : kind === "map" ? `map:${JSON.stringify(keys)}` : kind;
    const section = found.get(of) || { id: of, kind, names: [], keys };
    section.names.push(name);
    found.set(of, section);
  }
  const order = ["fields", "map", "list", "series", "other"];
  return [...found.values()].sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind));
}

/** Rows of a `map` section: {id, which, [name]: value}; what is missing is undefined, null is "". */
export const mapRows = (section, document) =>
  section.keys.map((key) => Object.fromEntries([["id", key], ["which", key], ...section.names.map((name) => [name, cellOf(document?.[name]?.[key])])]));

const cellOf = (value) => (value === null ? "" : value);

/** The document with a `map` section's rows; cells left empty are left out, or null where the schema allows it. */
export function withMapRows(section, schema, document, rows) {
  const next = { ...document };
  for (const name of section.names) {
    const entries = rows.map((row) => [row.id, valueOf(row[name], schema.properties[name].properties[row.id])]);
    next[name] = Object.fromEntries(entries.filter(([, value]) => value !== undefined));
  }
  return next;
}

/** A cell's value under its schema: the choice it names, null for an empty cell where null is a choice. */
export function valueOf(cell, schema) {
  if (cell === undefined || cell === null || cell === "") return schema?.enum?.includes(null) ? null : undefined;
  if (schema?.enum) return schema.enum.find((choice) => String(choice) === String(cell)) ?? cell;
  return cell;
}

/** Rows of a `series` section: one per place in the lists, aligned at their ends; {id, ago, [key]: value}. */
export function seriesRows(section, document, extra = 0) {
  const lists = document?.[section.names[0]] || {};
  const longest = Math.max(0, ...section.keys.map((key) => (Array.isArray(lists[key]) ? lists[key].length : 0))) + extra;
  return Array.from({ length: longest }, (_, i) => Object.fromEntries([["id", i], ["place", i + 1],
    ...section.keys.map((key) => [key, Array.isArray(lists[key]) ? lists[key][i] : undefined])]));
}

/** The document with a `series` section's rows; a list ends at its last cell that holds something. */
export function withSeriesRows(section, document, rows) {
  const lists = {};
  for (const key of section.keys) {
    const cells = rows.map((row) => (row[key] === "" || row[key] === null ? undefined : row[key]));
    while (cells.length && cells.at(-1) === undefined) cells.pop();
    if (cells.length) lists[key] = cells.map((cell) => cell ?? null);
  }
  const { [section.names[0]]: _, ...rest } = document;
  return Object.keys(lists).length ? { ...rest, [section.names[0]]: lists } : rest;
}

/** Rows of a `list` section, and the document with them; empty cells are left out of their line. */
export const listRows = (section, document) => (document?.[section.names[0]] || []).map((line, id) => ({ ...line, id }));
export function withListRows(section, schema, document, rows) {
  const columns = schema.properties[section.names[0]].items.properties;
  const lines = rows.map((row) => Object.fromEntries(Object.keys(columns)
    .map((name) => [name, valueOf(row[name], columns[name])]).filter(([, value]) => value !== undefined)));
  return { ...document, [section.names[0]]: lines };
}

const plain = (value) => value === null || typeof value !== "object";

/**
 * What a document holds, as facts and tables to read: {facts: [[name, value]], tables: [{title, columns, rows}]}. Objects of
 * plain values with the same keys become columns of one table; anything deeper is left to `rest`.
 */
export function readable(document, skip = []) {
  const facts = [];
  const rest = {};
  const maps = new Map();
  const tables = [];
  for (const [name, value] of Object.entries(document || {})) {
    if (skip.includes(name)) continue;
    if (plain(value)) facts.push([name, value]);
    else if (Array.isArray(value) && value.length && value.every((line) => !plain(line) && !Array.isArray(line) && Object.values(line).every(plain))) tables.push(lines(name, value));
    else if (!Array.isArray(value) && every(value, plain)) {
      const keys = JSON.stringify(Object.keys(value));
      maps.set(keys, [...(maps.get(keys) || []), [name, value]]);
    } else if (Object.keys(value).length) rest[name] = value;
  }
  return { facts, tables: [...[...maps.values()].map(joined), ...tables], rest };
}

function lines(name, value) {
  const keys = [...new Set(value.flatMap((line) => Object.keys(line)))];
  return { title: words(name), columns: keys.map((key) => heading(key)), rows: value.map((line) => keys.map((key) => line[key] ?? null)) };
}

function joined(members) {
  const keys = Object.keys(members[0][1]);
  const isCost = members.every(([name]) => name.endsWith("cost")); // costs are by component, all else by the planner's own names
  return {
    title: members.map(([name]) => heading(name).replace(/ \[.*/, "")).join(", "),
    columns: ["", ...members.map(([name]) => heading(name))],
    rows: keys.map((key) => [isCost ? words(key) : key, ...members.map(([, value]) => value[key] ?? null)]),
  };
}

/** The parts of a JSON Pointer. */
export const pointerParts = (pointer) => (pointer ? pointer.slice(1).split("/").map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~")) : []);

/** A JSON Pointer of parts. */
export const pointerOf = (parts) => parts.map((part) => `/${String(part).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");

/** The value at a pointer; undefined where there is none. */
export const valueAt = (document, pointer) => pointerParts(pointer).reduce((at, part) => at?.[part], document);

/** A document with another value at a pointer. */
export function withValueAt(document, pointer, value) {
  const [first, ...rest] = pointerParts(pointer);
  if (first === undefined) return value;
  const inner = withValueAt(document?.[first], pointerOf(rest), value);
  if (Array.isArray(document)) return document.map((item, i) => (String(i) === first ? inner : item));
  return { ...document, [first]: inner };
}
