// The decision's lines as a grid, edited in place while the planner overrides them.
import { html, useMemo } from "../../lib/ui.js";
import { pointerParts } from "../../lib/document.js";
import { number } from "../../lib/format.js";
import { Grid, numeric, toNumber } from "../../parts/grid.js";
import { sized } from "../../parts/state_editor.js";

const FEW = 12; // lines that need no filter
const MOST_LOOKED_AT = 200;
const NARROWEST = 750; // px a tablet leaves for a table

/** The lines of `item` by the columns of `wants`; `onChosen(line)` tells which one is looked at. */
export function Lines({ wants, item, override, onChosen }) {
  const proposed = item.decision[wants.lines_key];
  const rows = useMemo(() => (override.on ? override.lines : proposed).map((line, id) => ({ ...line, id })), [override.on, override.lines, proposed]);
  const reads = wants.columns.some((c) => c.decided); // else nothing says what may be changed: everything may
  const columns = useMemo(() => wants.columns.map((c) => columnOf({ ...c, decided: c.decided || !reads }, proposed, override)), [wants, proposed, override.on, override.faults]);
  const fits = columns.reduce((sum, c) => sum + c.minWidth, 0) <= NARROWEST; // a table that scrolls sideways needs room for its bar
  if (!rows.length) return html`<p class="soft">Nothing is to be done: the decision has no lines.</p>`;
  return html`<${Grid} key=${override.on ? "typed" : "read"} label=${override.on ? "Your decision" : "Recommended decision"} columns=${columns} rows=${rows}
    onEdit=${override.on ? (next) => override.setLines(next.map(({ id, ...line }) => line)) : undefined}
    onSelect=${(chosen) => onChosen(chosen[0] || null)}
    height=${Math.min(480, 90 + 42 * rows.length)} options=${{ rowSelection: { mode: "singleRow", checkboxes: false, enableClickSelection: true }, ...(fits ? sized(rows, columns) : {}) }} />`;
}

/** Wide enough for the heading's longest word and for words in the cells. */
function widthOf(head, key, lines) {
  const texts = lines.slice(0, MOST_LOOKED_AT).map((line) => line[key]).filter((value) => typeof value === "string");
  return Math.min(180, Math.max(78, 36 + 8 * Math.max(...[...head.split(" "), ...texts].map((text) => text.length))));
}

function columnOf({ key, title, unit, decided }, proposed, override) {
  const head = unit ? `${title} [${unit}]` : title;
  const isNumber = proposed.some((line) => typeof line[key] === "number");
  const isSwitch = proposed.some((line) => typeof line[key] === "boolean");
  const faultAt = (row) => override.faults.find((f) => { const parts = pointerParts(f.pointer); return Number(parts[2]) === row.id && (parts[3] === undefined || parts[3] === key); })?.detail;
  const moved = (row) => row.id < proposed.length && row[key] !== proposed[row.id][key];
  const shared = {
    field: key, headerName: head, minWidth: widthOf(head, key, proposed), filter: proposed.length > FEW, editable: override.on && decided,
    cellClassRules: override.on ? {
      "cell-fault": ({ data }) => Boolean(faultAt(data)), "cell-moved": ({ data }) => !faultAt(data) && moved(data),
      "cell-typed": ({ data }) => decided && !faultAt(data) && !moved(data), soft: () => !decided,
    } : {},
    tooltipValueGetter: ({ data }) => (override.on ? faultAt(data) || (moved(data) ? `Recommended: ${number(proposed[data.id][key])}` : "") : ""),
  };
  if (isSwitch) return { ...shared, cellDataType: "boolean", cellRenderer: ({ value }) => (value === true ? "yes" : value === false ? "no" : "–") };
  if (!isNumber) return { ...shared, valueParser: ({ newValue }) => (newValue === "" ? null : newValue), valueFormatter: ({ value }) => value ?? "–" };
  return numeric({ ...shared, cellDataType: false, valueParser: ({ newValue }) => (newValue === null || newValue === "" ? null : toNumber(newValue)) });
}
