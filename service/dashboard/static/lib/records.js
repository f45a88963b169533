// Lists and maps of records as rows of a table, and back: a cell that was not touched keeps its value as it was.
import { toNumber } from "./spreadsheet.js";
import { words } from "./format.js";

const KEY = "key";
const VALUE = "value";
const PREFIX = "of ";

/** The field of a row that holds a record's field: prefixed, so that a record may have a field `id` of its own. */
export const cellOf = (name) => PREFIX + name;
export const nameOf = (cell) => cell.slice(PREFIX.length);

/** A map as entries with its key as a field of theirs. */
export const entriesOf = (map, simple) => Object.entries(typeof map === "object" && map ? map : {}).map(([key, value]) => (simple ? { [KEY]: key, [VALUE]: value } : { [KEY]: key, ...value }));

/** Entries as a map again; a key met twice, or not given yet, gets a name of its own so that nothing is lost. */
export function mapOf(entries, simple) {
  const map = {};
  for (const { [KEY]: given, ...rest } of entries) {
    let key = String(given ?? "") || "new";
    while (key in map) key += "-2";
    map[key] = simple ? rest[VALUE] : rest;
  }
  return map;
}

/** The fields of a map's entries: its key, then those of its values. */
export const keyed = (fields) => [{ name: KEY, schema: { type: "string", description: "What the entry is for." }, required: true, shape: "simple" }, ...fields];
export const valueField = (schema, shape) => ({ name: VALUE, schema, required: true, shape });

/** What a cell shows of a value: itself where it is plain, JSON or a summary where it is not. */
export function toCell(field, value) {
  if (value === undefined || value === null) return null;
  if (field.shape === "simple" || typeof value !== "object") return value;
  return field.shape === "json" ? JSON.stringify(value) : summaryOf(value);
}

/** The value a cell stands for. */
export function fromCell(field, raw) {
  const text = typeof raw === "string" ? raw.trim() : raw;
  if (text === undefined || text === null || text === "") return undefined;
  if (field.shape === "json") return readJson(text);
  const { schema } = field;
  if (schema.type === "number" || schema.type === "integer") return toNumber(text);
  if (schema.type === "boolean") return { true: true, false: false, yes: true, no: false, 1: true, 0: false }[String(text).toLowerCase()] ?? text;
  return schema.enum ? schema.enum.find((option) => String(option) === String(text)) ?? text : String(text);
}

function readJson(text) {
  if (typeof text !== "string") return text;
  try {
    return JSON.parse(text);
  } catch {
    return toNumber(text);
  }
}

/** Rows of a table for records. */
export const rowsOf = (records, fields) =>
  records.map((record, at) => Object.fromEntries([["id", at], ...fields.map((field) => [cellOf(field.name), toCell(field, record?.[field.name])])]));

/** Records after their rows were edited: `records` are those the rows were made of; rows past them are new. */
export const recordsOf = (rows, records, fields) => rows.map((row, at) => edited(row, records[at], fields));

function edited(row, record, fields) {
  const made = { ...record };
  for (const field of fields.filter((f) => f.shape === "simple" || f.shape === "json")) {
    const raw = row[cellOf(field.name)];
    if ((raw ?? null) === toCell(field, record?.[field.name])) continue;
    const value = fromCell(field, raw);
    if (value === undefined) delete made[field.name];
    else made[field.name] = value;
  }
  return made;
}

/** A value in a few words: "poisson, mean 5", "12 values". */
export function summaryOf(value) {
  if (value === null || value === undefined) return "";
  if (Array.isArray(value)) return `${value.length} ${value.length === 1 ? "value" : "values"}`;
  if (typeof value !== "object") return String(value);
  const parts = Object.entries(value).filter(([, v]) => v !== null && v !== undefined);
  return parts.map(([name, v]) => (typeof v === "string" ? v : `${words(name).toLowerCase()} ${typeof v === "object" ? `(${summaryOf(v)})` : v}`)).join(", ");
}

/** Whether every record leaves a field that may be left out at its default. */
export const isIdle = (field, records) =>
  !field.required && records.every((record) => [undefined, null].includes(record?.[field.name]) || JSON.stringify(record[field.name]) === JSON.stringify(field.schema.default)
    || (Array.isArray(record[field.name]) && !record[field.name].length));

/** What a record is called: its identifier, its key, or its ends. */
export const titleOf = (record, at) => record?.id || record?.key || (record?.from !== undefined && record?.to !== undefined ? `${record.from} → ${record.to}` : "") || `row ${at + 1}`;
