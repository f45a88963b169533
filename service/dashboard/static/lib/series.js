// Numbers in sequence (a list, lists side by side, lists by name) as rows of a table, and back.
import { essence, valuesOf } from "./schema.js";
import { toNumber } from "./spreadsheet.js";

const PREFIX = "at ";
const isNumber = (schema) => schema?.type === "number" || schema?.type === "integer";
const isList = (schema) => schema?.type === "array" && isNumber(schema.items);

/** How a schema strings numbers together: "list", "rows" (a list of lists), "named" (a list per name); null if it does not. */
export function seriesOf(schema, root) {
  const inner = schema.type === "array" && schema.items ? essence(schema.items, root) : null;
  if (isNumber(inner)) return "list";
  if (isList(inner)) return "rows";
  return isList(valuesOf(schema, root)) ? "named" : null;
}

/** The names of a value's columns; null where it cannot be shown as a table (nothing there yet, or not of that form). */
export function columnsOf(kind, value) {
  if (!value || typeof value !== "object") return null;
  if (kind === "list") return Array.isArray(value) && value.length ? ["value"] : null;
  const names = kind === "rows" ? Object.keys(Array.isArray(value) && Array.isArray(value[0]) ? value[0] : {}) : Object.keys(value).filter((name) => Array.isArray(value[name]));
  return names.length && (kind === "rows" || names.length === Object.keys(value).length) ? names : null;
}

/** The field of a row that holds a column, and the column of a field. */
export const fieldOf = (column) => PREFIX + column;

/** Rows of the table: {id, [fieldOf(column)]: number or null}. */
export function rowsOf(kind, value, columns) {
  const length = kind === "named" ? Math.max(...columns.map((name) => value[name].length)) : value.length;
  const cell = { list: (i) => value[i], rows: (i, name) => value[i]?.[name], named: (i, name) => value[name][i] }[kind];
  return Array.from({ length }, (_, i) => Object.fromEntries([["id", i], ...columns.map((name) => [fieldOf(name), cell(i, name) ?? null])]));
}

/** The value of a table's rows: numbers where cells hold numbers, else what was typed, for the API to refuse by name. */
export function valueOf(kind, rows, columns) {
  const read = (row, name) => { const raw = row[fieldOf(name)]; return raw === null || raw === undefined || raw === "" ? null : toNumber(raw); };
  if (kind === "list") return rows.map((row) => read(row, columns[0]));
  if (kind === "rows") return rows.map((row) => columns.map((name) => read(row, name)));
  return Object.fromEntries(columns.map((name) => [name, ended(rows.map((row) => read(row, name)))]));
}

/** A list without the empty cells at its end: lists by name may be of different lengths. */
function ended(list) {
  const last = list.findLastIndex((value) => value !== null);
  return list.slice(0, last + 1);
}

/** Where an issue below the series points to: {row, column}; row −1 for a whole column or the whole series. */
export function cellAt(kind, parts) {
  const [first, second] = parts;
  if (kind === "named") return { row: second === undefined ? -1 : Number(second), column: first };
  return { row: first === undefined ? -1 : Number(first), column: kind === "list" ? "value" : second };
}
