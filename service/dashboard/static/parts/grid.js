// Tables by AG Grid: quick with ten thousand rows, edited in place, filled from a spreadsheet by pasting.
import { html, useEffect, useRef, useState, useCell } from "../lib/ui.js";
import { theme } from "../lib/theme.js";
import { number } from "../lib/format.js";
import { toNumber } from "../lib/spreadsheet.js";

export { toNumber };

let library = null;

/** Load the grid's script and style sheet once. */
function load() {
  library ??= new Promise((resolve, reject) => {
    const here = new URL("../vendor/", import.meta.url);
    const sheet = Object.assign(document.createElement("link"), { rel: "stylesheet", href: new URL("ag-grid.css", here) });
    const script = Object.assign(document.createElement("script"), { src: new URL("ag-grid.js", here) });
    sheet.onload = () => document.head.append(script);
    script.onload = () => resolve(globalThis.agGrid);
    script.onerror = sheet.onerror = () => { library = null; reject(new Error("the table's files could not be loaded")); };
    document.head.append(sheet);
  });
  return library;
}

/** A column of numbers: right-aligned, at sensible length. */
export const numeric = (given) => ({
  type: "rightAligned", valueFormatter: ({ value }) => (typeof value === "number" ? number(value, 6) : value ?? "–"), ...given,
});

/**
 * A grid. `columns` are AG Grid column definitions, `rows` plain objects with a key `id`. With `onEdit(rows)` cells of
 * editable columns can be typed into and pasted onto from a spreadsheet: to the right and down from the focused cell, or, where
 * the first cells pasted are names of column `pasteKey`, onto the rows of these names; with `makeRow(index)` cells pasted
 * beyond the last row make new ones. `onOpen(row)` is called for Enter or a double click on a cell not edited in place.
 * `faults` maps `faultKey(row id, field)` to what is wrong there; `handle.current` gets the grid's own API.
 */
export function Grid({ columns, rows, label, height = 380, onEdit, onOpen, onSelect, pasteKey, makeRow, faults, handle, options = {} }) {
  const ref = useRef(null);
  const grid = useRef(null);
  const latest = useRef({});
  latest.current = { rows, columns, onEdit, onOpen, onSelect, pasteKey, makeRow, faults };
  const look = useCell(theme);
  const [failed, setFailed] = useState(null);
  useEffect(() => {
    let gone = false;
    load().then((agGrid) => {
      if (gone) return;
      grid.current = agGrid.createGrid(ref.current, settings(latest, options));
      if (handle) handle.current = grid.current;
    }).catch(setFailed);
    return () => { gone = true; grid.current?.destroy(); grid.current = null; };
  }, []);
  useEffect(() => grid.current?.setGridOption("rowData", rows), [rows]);
  useEffect(() => grid.current?.setGridOption("columnDefs", columns), [columns]);
  useEffect(() => grid.current?.refreshCells({ force: true }), [faults]);
  if (failed) return html`<p class="notice bad" role="alert">The table could not be shown: ${failed.message}.</p>`;
  const own = options.domLayout === "autoHeight" ? {} : { height: `${height}px` };
  return html`<div class="grid ag-theme-quartz${look === "dark" ? "-dark" : ""}" style=${own} ref=${ref} aria-label=${label} role="group"
    onPaste=${(event) => onEdit && paste(event, grid.current, latest.current)}></div>`;
}

/** Where a fault of a cell is found in `faults`. */
export const faultKey = (id, field) => `${id} ${field}`;

function settings(latest, options) {
  const { rows, columns } = latest.current;
  const fault = ({ data, colDef }) => data && latest.current.faults?.get(faultKey(data.id, colDef.field));
  return {
    theme: "legacy", rowData: rows, columnDefs: columns, getRowId: ({ data }) => String(data.id), suppressColumnVirtualisation: columns.length < 20,
    defaultColDef: {
      sortable: true, resizable: true, filter: true, minWidth: 90, flex: 1, wrapHeaderText: true, autoHeaderHeight: true,
      cellClassRules: { "cell-fault": (cell) => Boolean(fault(cell)) }, tooltipValueGetter: fault,
    },
    animateRows: false, singleClickEdit: false, tooltipShowDelay: 200,
    stopEditingWhenCellsLoseFocus: true, undoRedoCellEditing: true, ensureDomOrder: true, enableCellTextSelection: true,
    onCellValueChanged: () => latest.current.onEdit?.(latest.current.rows.map((row) => ({ ...row }))),
    onCellDoubleClicked: ({ data, colDef }) => { if (!colDef.editable) latest.current.onOpen?.(data); },
    onCellKeyDown: ({ event, data, colDef }) => { if (event.key === "Enter" && !colDef.editable) latest.current.onOpen?.(data); },
    onSelectionChanged: ({ api }) => latest.current.onSelect?.(api.getSelectedRows()),
    ...options,
  };
}

/** Cells copied from a spreadsheet go where they belong; a paste into an open editor is the editor's own. */
function paste(event, api, latest) {
  const focus = api?.getFocusedCell();
  const text = event.clipboardData.getData("text/plain");
  if (!focus || !text || api.getEditingCells().length) return;
  event.preventDefault();
  const cells = text.replace(/\r?\n$/, "").split(/\r?\n/).map((line) => line.split("\t"));
  const columns = api.getAllDisplayedColumns().map((column) => column.getColDef());
  const byName = latest.pasteKey && pastedByName(cells, columns, latest);
  latest.onEdit(byName || pastedByPlace(cells, columns, api, focus, latest));
}

/** Rows after a paste whose first column holds their names (a line of headings may come first); null if it does not. */
function pastedByName(cells, columns, { rows, pasteKey }) {
  const known = new Map(rows.map((row) => [String(row[pasteKey]), row]));
  const named = cells.filter(([name]) => known.has(name.trim()));
  if (cells[0].length < 2 || named.length === 0 || named.length < cells.length - 1) return null;
  const typed = columns.filter((definition) => definition.editable);
  const heads = cells[0] === named[0] ? [] : cells[0].slice(1).map((head) => typed.find((d) => d.headerName === head.trim() || d.field === head.trim()));
  const changed = new Map(named.map(([name, ...rest]) => {
    const row = { ...known.get(name.trim()) };
    rest.forEach((cellText, i) => put(row, heads.length ? heads[i] : typed[i], cellText));
    return [row.id, row];
  }));
  return rows.map((row) => changed.get(row.id) || { ...row });
}

function pastedByPlace(cells, columns, api, focus, { rows, makeRow }) {
  const first = columns.findIndex((definition) => definition.field === focus.column.getColDef().field);
  const changed = new Map();
  const added = [];
  cells.forEach((line, down) => {
    const node = api.getDisplayedRowAtIndex(focus.rowIndex + down);
    if (!node && !makeRow) return;
    const row = node ? { ...node.data } : makeRow(rows.length + added.length);
    line.forEach((cellText, right) => put(row, columns[first + right], cellText));
    if (node) changed.set(row.id, row);
    else added.push(row);
  });
  return [...rows.map((row) => changed.get(row.id) || { ...row }), ...added];
}

function put(row, definition, text) {
  if (definition?.editable) row[definition.field] = definition.type === "rightAligned" ? toNumber(text) : text.trim();
}
