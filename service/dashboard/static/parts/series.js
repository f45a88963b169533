// Numbers in sequence as a table: typed into, pasted onto from a spreadsheet; as JSON text while there is nothing to show.
import { html, useMemo, useState } from "../lib/ui.js";
import { pointerParts } from "../lib/document.js";
import { number, words } from "../lib/format.js";
import { cellAt, columnsOf, fieldOf, rowsOf, valueOf } from "../lib/series.js";
import { Grid, faultKey, numeric } from "./grid.js";
import { JsonControl, Said } from "./schema_form.js";

const OPTIONS = { rowSelection: { mode: "multiRow", checkboxes: true, headerCheckbox: true, enableClickSelection: false }, selectionColumnDef: { width: 44, minWidth: 44, flex: 0, pinned: "left", resizable: false } };

export function Series({ kind, value, onChange, issues, prefix, label, unit, placeholder }) {
  const columns = columnsOf(kind, value);
  const within = issues.filter((i) => i.pointer === prefix || i.pointer.startsWith(`${prefix}/`));
  const told = within.map((i) => ({ ...i, detail: `${placeOf(kind, pointerParts(i.pointer.slice(prefix.length)))}${i.detail}` }));
  return html`<div class="stack">
    ${columns ? html`<${Table} ...${{ kind, value, onChange, columns, within, prefix, label, unit }} />`
      : html`<${JsonControl} value=${value ?? undefined} onChange=${onChange} placeholder=${placeholder} most=${16}
        shared=${{ id: `json${prefix}`, "aria-label": label, "aria-invalid": within.some((i) => i.severity === "error") ? "true" : undefined }} />`}
    <${Said} issues=${told.slice(0, 8)} id=${`said${prefix}`} />
  </div>`;
}

function placeOf(kind, parts) {
  if (!parts.length) return "";
  const { row, column } = cellAt(kind, parts);
  const name = kind === "named" ? column : column === undefined || kind === "list" ? "" : `column ${Number(column) + 1}`;
  return `${[row >= 0 ? `row ${row + 1}` : "", name].filter(Boolean).join(", ")}: `;
}

function Table({ kind, value, onChange, columns, within, prefix, label, unit }) {
  const shape = columns.join("\n");
  const rows = useMemo(() => rowsOf(kind, value, columns), [value, shape]);
  const [picked, setPicked] = useState([]);
  const definitions = useMemo(() => [
    { field: "id", headerName: "No.", pinned: "left", width: 76, minWidth: 76, flex: 0, filter: false, valueFormatter: (cell) => String(cell.value + 1) },
    ...columns.map((name) => numeric({ field: fieldOf(name), headerName: headingOf(kind, name, unit), editable: true, cellDataType: false, filter: false, valueFormatter: (cell) => (cell.value === null ? "" : typeof cell.value === "number" ? number(cell.value, 8) : cell.value) })),
  ], [kind, shape, unit]);
  const said = within.map((i) => i.pointer + i.detail).join("\n");
  const faults = useMemo(() => new Map(within.filter((i) => i.severity === "error").map((i) => {
    const { row, column } = cellAt(kind, pointerParts(i.pointer.slice(prefix.length)));
    return [faultKey(row, fieldOf(column)), i.detail];
  })), [said]);
  const put = (next) => onChange(valueOf(kind, next, columns));
  const remove = () => { put(rows.filter((row) => !picked.includes(row.id))); setPicked([]); };
  const blank = () => ({ id: rows.length, ...Object.fromEntries(columns.map((name) => [fieldOf(name), 0])) });
  return html`
    <div class="row apart"><div class="row"><button onClick=${() => put([...rows, blank()])}>Add a row</button><button class="danger" disabled=${!picked.length || picked.length === rows.length} onClick=${remove}>Remove${picked.length ? ` ${picked.length}` : ""}</button></div>
      <span class="small soft">${number(rows.length)} ${rows.length === 1 ? "row" : "rows"}. Type into a cell, or paste cells from a spreadsheet.</span></div>
    <${Grid} label=${label} columns=${definitions} rows=${rows} onEdit=${put} makeRow=${(id) => ({ id })} faults=${faults} height=${Math.min(460, 110 + 42 * rows.length)}
      onSelect=${(chosen) => setPicked(chosen.map((row) => row.id))} options=${OPTIONS} />`;
}

function headingOf(kind, name, unit) {
  const text = kind === "rows" ? `Column ${Number(name) + 1}` : kind === "list" ? words(name) : name;
  return unit ? `${text} [${unit}]` : text;
}
