// The numbers in a document, found by words, changed together, and told apart between two documents.
import { words } from "./format.js";
import { pointerOf, valueAt, withValueAt } from "./document.js";

const isNumeric = (value) => typeof value === "number" || (Array.isArray(value) && value.length > 0 && value.every(isNumeric));

/** How an item of a list is called: by what identifies it, else by its place. */
function nameOf(item, index) {
  if (item && typeof item === "object") {
    const own = item.id ?? item.name;
    if (typeof own === "string") return own;
    if (typeof item.from === "string" && typeof item.to === "string") return `${item.from} → ${item.to}`;
    const first = Object.values(item).find((value) => typeof value === "string");
    if (first) return first;
  }
  return `no. ${index + 1}`;
}

/** Every number: [{id: pointer, where, what, value}]; a list of numbers is one row with its mean and their count. */
export function numbersOf(document) {
  const rows = [];
  const visit = (value, parts, names) => {
    if (isNumeric(value)) {
      const all = [value].flat(Infinity);
      rows.push({ id: pointerOf(parts), where: names.slice(0, -1).join(" › "), what: names.at(-1), value: all.reduce((a, b) => a + b, 0) / all.length, count: Array.isArray(value) ? all.length : null });
    } else if (Array.isArray(value)) value.forEach((item, i) => visit(item, [...parts, i], [...names, nameOf(item, i)]));
    else if (value && typeof value === "object") for (const [key, inner] of Object.entries(value)) visit(inner, [...parts, key], [...names, words(key)]);
  };
  visit(document, [], []);
  return rows;
}

const tidy = (value) => Number(value.toPrecision(12));
const OPERATIONS = { multiply: (value, by) => tidy(value * by), add: (value, by) => tidy(value + by), set: (_, by) => by };
const applied = (value, change) => (Array.isArray(value) ? value.map((item) => applied(item, change)) : OPERATIONS[change.op](value, change.by));

/** A document after changes {pointer: {op: "multiply" | "add" | "set", by}}. */
export const changed = (document, changes) => Object.entries(changes).reduce((at, [pointer, change]) => withValueAt(at, pointer, applied(valueAt(at, pointer), change)), document);

/** A change in words: "× 1.1". */
export const said = ({ op, by }) => ({ multiply: `× ${by}`, add: by < 0 ? `− ${-by}` : `+ ${by}`, set: `= ${by}` })[op];

/** The numbers in which two documents differ: rows of `numbersOf` with `other`, the value in the second. */
export function differing(one, two) {
  const others = new Map(numbersOf(two).map((row) => [row.id, row]));
  return numbersOf(one).map((row) => ({ ...row, other: others.get(row.id)?.value })).filter((row) => row.other !== undefined && row.other !== row.value);
}
