// A state (or any document under a schema) typed into tables: what is alike shares one, faults stand in their cells.
import { html, useMemo, useState } from "../lib/ui.js";
import { heading, listRows, mapRows, pointerParts, sections, seriesRows, withListRows, withMapRows, withSeriesRows } from "../lib/document.js";
import { number, words } from "../lib/format.js";
import { Grid, numeric, toNumber } from "./grid.js";
import { SchemaForm } from "./schema_form.js";

const FEW_ROWS = 12;
const FEW_COLUMNS = 9;

/** The editor. `faults` are the API's [{pointer, detail}] with pointers into the document. */
export function StateEditor({ schema, value, onChange, faults = [] }) {
  const parts = useMemo(() => sections(schema), [schema]);
  return html`<div class="stack">${parts.map((section) => {
    const own = faults.filter((f) => section.names.includes(pointerParts(f.pointer)[0]));
    const Kind = KINDS[section.kind];
    return html`<${Kind} key=${section.id} section=${section} schema=${schema} value=${value} onChange=${onChange} faults=${own} />`;
  })}</div>`;
}

const KINDS = { fields: Fields, map: MapTable, list: ListTable, series: SeriesTable, other: Fields };

function Fields({ section, schema, value, onChange, faults }) {
  const only = { ...schema, properties: Object.fromEntries(section.names.map((name) => [name, schema.properties[name]])) };
  return html`<${SchemaForm} schema=${only} root=${schema} value=${value} onChange=${onChange} errors=${faults} id="state" />`;
}

function Section({ title, help, faults, where, children }) {
  return html`<section class="stack" aria-label=${title}>
    <h3>${title}</h3>
    ${help.length > 0 && html`<p class="small soft">${help.join(" ")}</p>`}
    ${children}
    ${faults.length > 0 && html`<ul class="faults" role="alert">${faults.slice(0, 20).map((f) => html`<li>${where(f.pointer)}${f.detail}</li>`)}</ul>`}
  </section>`;
}

/** An editable column for values under a schema; `faultAt(row)` says what is wrong with its cell. */
function column(field, title, schema, faultAt) {
  const shared = {
    field, headerName: title, editable: true,
    cellClassRules: { "cell-fault": ({ data }) => Boolean(faultAt(data)), "cell-typed": ({ data }) => !faultAt(data) },
    tooltipValueGetter: (cell) => faultAt(cell.data) || "",
  };
  const choices = schema.enum;
  if (choices) {
    return { ...shared, cellEditor: "agSelectCellEditor", cellEditorParams: { values: choices.map((c) => (c === null ? "" : String(c))) }, valueFormatter: ({ value }) => (value === "" || value === undefined ? "none" : String(value)) };
  }
  if (schema.type !== "number" && schema.type !== "integer") return shared;
  return numeric({ ...shared, cellDataType: false, valueParser: ({ newValue }) => (newValue === null || newValue === "" ? undefined : toNumber(newValue)), valueFormatter: ({ value }) => (value === undefined || value === null ? "" : typeof value === "number" ? number(value, 8) : value) });
}

const small = { domLayout: "autoHeight", defaultColDef: { sortable: false, filter: false, resizable: true, wrapHeaderText: true, autoHeaderHeight: true, minWidth: 78, flex: 1 } };

/** Options of a grid that is as tall as its rows while these are few (and need no scrolling sideways). */
export const sized = (rows, columns) => (rows.length <= FEW_ROWS && columns.length <= FEW_COLUMNS ? small : {});
const faultIn = (faults, of) => (row) => faults.find((f) => of(pointerParts(f.pointer), row))?.detail;

function spanOf(schemas) {
  const low = schemas.map((s) => s.minimum);
  const high = schemas.map((s) => s.maximum);
  const span = (list) => (list.some((v) => v === undefined || Math.abs(v) >= 1e8) ? null : list);
  return { low: span(low), high: span(high) };
}

function MapTable({ section, schema, value, onChange, faults }) {
  const rows = useMemo(() => mapRows(section, value), [section, value]);
  const columns = useMemo(() => [
    { field: "which", headerName: "", pinned: "left", minWidth: 120, headerTooltip: "Name" },
    ...section.names.flatMap((name) => mapColumns(name, schema.properties[name], faults)),
  ], [section, schema, faults]);
  const help = section.names.map((name) => schema.properties[name].description).filter(Boolean);
  const where = (pointer) => { const [name, key] = pointerParts(pointer); return html`<b>${[key, heading(name, schema.properties[name]?.description)].filter(Boolean).join(", ")}</b>: `; };
  const title = section.names.map((name) => words(name.replace(/_(hm3|m3s|mwh?)$/, ""))).join(", ");
  return html`<${Section} title=${title} help=${help} faults=${faults} where=${where}>
    <${Grid} label=${title} columns=${columns} rows=${rows} pasteKey="which" options=${sized(rows, columns)} onEdit=${(next) => onChange(withMapRows(section, schema, value, next))} /><//>`;
}

function mapColumns(name, schema, faults) {
  const schemas = Object.values(schema.properties);
  const same = schemas.every((s) => JSON.stringify(s.enum) === JSON.stringify(schemas[0].enum));
  const union = same ? schemas[0] : { ...schemas[0], enum: [...new Set(schemas.flatMap((s) => s.enum || []))] };
  const typed = column(name, heading(name, schema.description), union, faultIn(faults, ([at, key], row) => at === name && (key === undefined || key === row.id)));
  const { low, high } = spanOf(schemas);
  if (!high) return [typed];
  const text = (key) => { const s = schema.properties[key]; return low ? `${number(s.minimum)} – ${number(s.maximum)}` : `≤ ${number(s.maximum)}`; };
  return [typed, { field: `${name}.span`, headerName: "Allowed", sortable: false, filter: false, cellClass: "soft", valueGetter: ({ data }) => text(data.id) }];
}

function ListTable({ section, schema, value, onChange, faults }) {
  const [name] = section.names;
  const items = schema.properties[name].items;
  const [chosen, setChosen] = useState([]);
  const rows = useMemo(() => listRows(section, value), [section, value]);
  const columns = useMemo(() => Object.entries(items.properties).map(([key, s]) =>
    column(key, heading(key, s.description), s, faultIn(faults, ([, index, field], row) => Number(index) === row.id && (field === undefined || field === key)))), [items, faults]);
  const put = (next) => onChange(withListRows(section, schema, value, next));
  const title = words(name);
  return html`<${Section} title=${title} help=${[schema.properties[name].description].filter(Boolean)} faults=${faults}
    where=${(pointer) => { const [, index, field] = pointerParts(pointer); return index === undefined ? "" : html`<b>line ${Number(index) + 1}${field ? `, ${words(field)}` : ""}</b>: `; }}>
    ${rows.length > 0 && html`<${Grid} label=${title} columns=${columns} rows=${rows} onSelect=${setChosen} onEdit=${put} makeRow=${(id) => ({ id })}
      options=${{ ...sized(rows, columns), rowSelection: { mode: "multiRow" } }} key=${rows.length <= FEW_ROWS} />`}
    <div class="row">
      <button onClick=${() => put([...rows, { id: rows.length }])}>Add a line</button>
      ${rows.length > 0 && html`<button disabled=${!chosen.length} onClick=${() => { put(rows.filter((row) => !chosen.some((c) => c.id === row.id))); setChosen([]); }}>Remove the selected lines</button>`}
      ${rows.length === 0 && html`<span class="soft">None.</span>`}
    </div><//>`;
}

function SeriesTable({ section, schema, value, onChange, faults }) {
  const [name] = section.names;
  const [extra, setExtra] = useState(0);
  const rows = useMemo(() => seriesRows(section, value, extra), [section, value, extra]);
  const columns = useMemo(() => [
    { field: "place", headerName: "No.", pinned: "left", minWidth: 70, maxWidth: 90 },
    ...section.keys.map((key) => column(key, key, schema.properties[name].properties[key].items, faultIn(faults, ([, at, index], row) => at === key && (index === undefined || Number(index) === row.id)))),
  ], [section, schema, faults]);
  const put = (next) => { setExtra(0); onChange(withSeriesRows(section, value, next)); };
  const title = words(name.replace(/_(hm3|m3s|mwh?)$/, ""));
  return html`<${Section} title=${title} help=${[schema.properties[name].description].filter(Boolean)} faults=${faults}
    where=${(pointer) => { const [, key, index] = pointerParts(pointer); return html`<b>${[key, index !== undefined && `no. ${Number(index) + 1}`].filter(Boolean).join(", ")}</b>: `; }}>
    ${rows.length > 0 && html`<${Grid} label=${title} columns=${columns} rows=${rows} onEdit=${put} makeRow=${(id) => ({ id, place: id + 1 })} options=${sized(rows, columns)} key=${rows.length <= FEW_ROWS} />`}
    <div class="row"><button onClick=${() => setExtra((n) => n + 1)}>Add a line</button>${rows.length === 0 && html`<span class="soft">None given.</span>`}</div><//>`;
}
