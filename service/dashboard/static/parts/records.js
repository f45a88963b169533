// A list or a map of records, as its schema describes them: a table that is typed into and pasted onto, a dialog for one record.
import { html, useMemo, useRef, useState } from "../lib/ui.js";
import { number, words } from "../lib/format.js";
import { blankOf, fieldsOf, headingOf, helpOf, isSimple, shapeOf, valuesOf, widthOf } from "../lib/schema.js";
import { cellOf, entriesOf, isIdle, keyed, mapOf, recordsOf, rowsOf, titleOf, valueField } from "../lib/records.js";
import { pointerParts } from "../lib/document.js";
import { Grid, faultKey } from "./grid.js";
import { Dialog } from "./dialog.js";

const MOST_SAID = 8;

/** How a list or a map is read and written as entries with fields. */
function viewOf(schema, root) {
  if (schema.type === "array") return { fields: fieldsOf(schema.items, root), read: (value) => (Array.isArray(value) ? value : []), write: (entries) => entries, record: schema.items };
  const values = valuesOf(schema, root);
  const simple = isSimple(values);
  const fields = keyed(simple ? [valueField(values, shapeOf(values, root))] : fieldsOf(values, root));
  return { fields, read: (value) => entriesOf(value, simple), write: (entries) => mapOf(entries, simple), record: simple ? null : values, isMap: true };
}

/** The entry and field an issue points to: {at, name, detail, …}; at −1 for the whole. */
function placesOf(issues, prefix, value, view) {
  const keys = view.isMap ? Object.keys(value || {}) : null;
  return issues.filter((i) => i.pointer === prefix || i.pointer.startsWith(`${prefix}/`)).map((issue) => {
    const [part, ...rest] = pointerParts(issue.pointer.slice(prefix.length));
    const at = part === undefined ? -1 : keys ? keys.indexOf(part) : Number(part);
    return { ...issue, at, name: rest[0] ?? (keys ? view.fields[view.record ? 0 : 1].name : view.fields[0].name), whole: rest.length === 0 };
  });
}

/** The table. `draw` draws one record's own form in the dialog (given by the document's part, which holds this one). */
export function Records({ schema, root, value, onChange, issues, prefix, label, draw }) {
  const view = useMemo(() => viewOf(schema, root), [schema]);
  const entries = useMemo(() => view.read(value), [value, view]);
  const rows = useMemo(() => rowsOf(entries, view.fields), [entries, view]);
  const [all, setAll] = useState(false);
  const [picked, setPicked] = useState([]);
  const [open, setOpen] = useState(null);
  const handle = useRef(null);
  const idle = view.fields.filter((field) => isIdle(field, entries)).map((f) => f.name).join(" ");
  const columns = useMemo(() => columnsOf(view.fields, all ? "" : idle, view.record && draw, setOpen), [view, all, all ? "" : idle]);
  const places = placesOf(issues, prefix, value, view);
  const said = places.map((p) => `${p.at} ${p.name} ${p.detail}`).join("\n");
  const faults = useMemo(() => new Map(places.filter((p) => p.severity === "error").map((p) => [faultKey(p.at, cellOf(p.name)), p.detail])), [said]);
  const put = (next) => onChange(view.write(next));
  const add = (more) => {
    put([...entries, ...more]);
    setTimeout(() => focus(handle.current, entries.length, cellOf(view.fields[0].name)), 50);
  };
  const fresh = () => (view.record ? blankOf(view.record, root) : {});
  const remove = () => { put(entries.filter((_, at) => !picked.includes(at))); setPicked([]); };
  const hidden = idle ? idle.split(" ").length : 0;
  return html`<div class="stack">
    <div class="row apart">
      <div class="row">
        <button onClick=${() => add([fresh()])}>Add a row</button>
        <button disabled=${!picked.length} onClick=${() => add(picked.map((at) => structuredClone(entries[at])))}>Duplicate</button>
        <button class="danger" disabled=${!picked.length} onClick=${remove}>Remove${picked.length ? ` ${picked.length}` : ""}</button>
      </div>
      <div class="row small soft">
        <span>${number(entries.length)} ${entries.length === 1 ? "row" : "rows"}. Type into a cell, or paste cells from a spreadsheet.</span>
        ${(hidden > 0 || all) && html`<label><input type="checkbox" checked=${all} onChange=${(e) => setAll(e.currentTarget.checked)} /> Show columns at their defaults${hidden ? ` (${hidden})` : ""}</label>`}
      </div>
    </div>
    <${Grid} label=${label} rows=${rows} columns=${columns} faults=${faults} handle=${handle} height=${Math.min(540, 130 + 42 * Math.max(rows.length, 2))}
      makeRow=${(at) => ({ ...rowsOf([fresh()], view.fields)[0], id: at })} onEdit=${(next) => put(recordsOf(next, next.map((_, at) => entries[at] ?? fresh()), view.fields))}
      onSelect=${(chosen) => setPicked(chosen.map((row) => row.id))} onOpen=${(row) => view.record && draw && setOpen(row.id)} options=${OPTIONS} />
    <${Faults} places=${places} entries=${entries} onShow=${(p) => focus(handle.current, p.at, cellOf(p.name))} />
    ${view.record && draw && html`<${Dialog} open=${open !== null && open < entries.length} onClose=${() => setOpen(null)} title=${`${label}: ${titleOf(entries[open], open ?? 0)}`}>
      ${open !== null && open < entries.length && draw({
        schema: view.record, value: entries[open], prefix: `${prefix}/${view.isMap ? entries[open].key : open}`,
        onChange: (next) => put(entries.map((entry, at) => (at === open ? (view.isMap ? { key: entry.key, ...next } : next) : entry))),
      })}
      <div class="row end"><button class="main" onClick=${() => setOpen(null)}>Done</button></div><//>`}
  </div>`;
}

const OPTIONS = { rowSelection: { mode: "multiRow", checkboxes: true, headerCheckbox: true, enableClickSelection: false }, selectionColumnDef: { width: 44, minWidth: 44, flex: 0, pinned: "left", resizable: false } };

function columnsOf(fields, idle, opens, onOpen) {
  const hidden = new Set(idle.split(" "));
  const shown = fields.filter((field) => !hidden.has(field.name)).map((field) => ({
    field: cellOf(field.name), headerName: headingOf(field), headerTooltip: helpOf(field.schema), minWidth: field.shape === "simple" ? widthOf(field) : 190,
    editable: field.shape === "simple" || field.shape === "json", cellDataType: false, ...editorOf(field),
  }));
  return opens ? [...shown, openColumn(onOpen)] : shown;
}

function editorOf({ schema, shape }) {
  const unset = ({ value }) => value === null || value === undefined || value === "";
  const fallback = schema.default === undefined || schema.default === null || typeof schema.default === "object" ? "" : String(schema.default);
  const shared = { valueFormatter: (cell) => (unset(cell) ? fallback : typeof cell.value === "number" ? number(cell.value, 8) : String(cell.value)), filter: false };
  const cellClass = (...always) => (cell) => [...always, unset(cell) ? "cell-default" : ""].filter(Boolean);
  if (schema.enum) return { ...shared, cellClass: cellClass(), cellEditor: "agSelectCellEditor", cellEditorParams: { values: ["", ...schema.enum] } };
  if (schema.type === "boolean") return { ...shared, cellClass: cellClass(), cellEditor: "agSelectCellEditor", cellEditorParams: { values: ["true", "false"] } };
  if (shape === "simple" && (schema.type === "number" || schema.type === "integer")) return { ...shared, type: "rightAligned", cellClass: cellClass("ag-right-aligned-cell") };
  return shape === "json" ? { ...shared, cellClass: cellClass(), cellEditor: "agLargeTextCellEditor", cellEditorPopup: true, cellEditorParams: { maxLength: 1_000_000 } } : { ...shared, cellClass: cellClass() };
}

function openColumn(onOpen) {
  return {
    field: "open", headerName: "", pinned: "right", width: 92, minWidth: 92, flex: 0, sortable: false, filter: false, resizable: false,
    cellRenderer: ({ data }) => {
      const button = Object.assign(document.createElement("button"), { className: "quiet in-cell", textContent: "Open", onclick: () => onOpen(data.id) });
      button.setAttribute("aria-label", `Open row ${data.id + 1} in a form`);
      return button;
    },
  };
}

function focus(grid, at, field) {
  const node = grid?.getRowNode(String(at));
  if (!node) return;
  grid.ensureIndexVisible(node.rowIndex);
  grid.ensureColumnVisible(field);
  grid.setFocusedCell(node.rowIndex, field);
}

function Faults({ places, entries, onShow }) {
  if (!places.length) return null;
  return html`<ul class="faults" aria-live="polite">${places.slice(0, MOST_SAID).map((p) => html`<li class=${p.severity === "error" ? "fault" : "remark"}>
    ${p.at >= 0 && p.at < entries.length && html`<button class="quiet" onClick=${() => onShow(p)}>${titleOf(entries[p.at], p.at)}${p.whole ? "" : `, ${words(p.name).toLowerCase()}`}</button>: `}${p.detail}</li>`)}
    ${places.length > MOST_SAID && html`<li class="soft">… and ${places.length - MOST_SAID} more.</li>`}</ul>`;
}
