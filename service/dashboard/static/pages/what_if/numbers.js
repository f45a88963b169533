// The numbers of an instance: found by words, changed one by one or together.
import { html, useMemo, useState } from "../../lib/ui.js";
import { number } from "../../lib/format.js";
import { said } from "../../lib/numbers.js";
import { Grid, numeric, toNumber } from "../../parts/grid.js";

const OPERATIONS = [["multiply", "multiply by"], ["add", "add"], ["set", "set to"]];

export function Numbers({ rows, changes, onChange, faults }) {
  const [text, setText] = useState("");
  const [chosen, setChosen] = useState([]);
  const [op, setOp] = useState("multiply");
  const [by, setBy] = useState("1.1");
  const wanted = text.trim().toLowerCase().split(/\s+/).filter(Boolean);
  const shown = useMemo(() => rows.filter((row) => wanted.every((word) => `${row.where} ${row.what}`.toLowerCase().includes(word)))
    .map((row) => ({ ...row, change: changes[row.id] ? said(changes[row.id]) : "", to: undefined })), [rows, text, changes]);
  const put = (ids, change) => onChange({ ...changes, ...Object.fromEntries(ids.map((id) => [id, change])) });
  const typed = (next) => next.filter((row) => typeof row.to === "number").forEach((row) => put([row.id], { op: "set", by: row.to }));
  const value = toNumber(by);
  const columns = useMemo(() => columnsOf(faults), [faults]);
  return html`
    <div class="row">
      <div class="field short grow"><label for="find">Find</label><input id="find" type="search" placeholder="for example: lead time, price, capacity" value=${text} onInput=${(e) => setText(e.currentTarget.value)} /></div>
      <div class="field"><label for="op">Change</label><select id="op" value=${op} onChange=${(e) => setOp(e.currentTarget.value)}>${OPERATIONS.map(([key, name]) => html`<option value=${key}>${name}</option>`)}</select></div>
      <div class="field"><label for="by">By or to</label><input id="by" inputmode="decimal" size="8" value=${by} onInput=${(e) => setBy(e.currentTarget.value)} aria-invalid=${typeof value === "number" ? undefined : "true"} /></div>
      <button disabled=${!chosen.length || typeof value !== "number"} onClick=${() => put(chosen.map((row) => row.id), { op, by: value })}>${chosen.length ? `Apply to the ${chosen.length} selected` : "Select lines to change"}</button>
    </div>
    <${Grid} label="Numbers of the instance" columns=${columns} rows=${shown} height=${340} onSelect=${setChosen} onEdit=${typed}
      options=${{ rowSelection: { mode: "multiRow", selectAll: "filtered" } }} />
    <p class="small soft">${number(shown.length)} of ${number(rows.length)} numbers. A list of numbers is one line, with its mean: it is changed as a whole.</p>
    <${Changes} rows=${rows} changes=${changes} onChange=${onChange} faults=${faults} />`;
}

const columnsOf = (faults) => [
  { field: "where", headerName: "Where", flex: 2, valueFormatter: ({ value }) => value || "the whole" },
  { field: "what", headerName: "What", flex: 1.5, valueFormatter: ({ value, data }) => (data.count ? `${value} (${data.count} numbers)` : value) },
  numeric({ field: "value", headerName: "Value" }),
  { field: "change", headerName: "Change", cellClassRules: { "cell-moved": ({ value }) => Boolean(value), "cell-fault": ({ data }) => faults.some((f) => f.pointer === data.id) } },
  numeric({ field: "to", headerName: "Set to", editable: true, cellDataType: false, cellClassRules: { "cell-typed": () => true }, valueParser: ({ newValue }) => (newValue === null || newValue === "" ? undefined : toNumber(newValue)), valueFormatter: ({ value }) => value ?? "" }),
];

function Changes({ rows, changes, onChange, faults }) {
  const list = rows.filter((row) => changes[row.id]);
  if (!list.length) return html`<p class="soft">Nothing is changed yet.</p>`;
  const without = (id) => Object.fromEntries(Object.entries(changes).filter(([key]) => key !== id));
  return html`<section class="stack" aria-label="Changes"><div class="row apart"><h3>Changes</h3><button class="quiet" onClick=${() => onChange({})}>Undo all</button></div>
    <ul class="reasons">${list.slice(0, 100).map((row) => html`<li key=${row.id}>${[row.where, row.what].filter(Boolean).join(" › ")}: ${number(row.value, 6)} <b>${said(changes[row.id])}</b>
      <button class="quiet" aria-label=${`Undo the change of ${row.where} ${row.what}`} onClick=${() => onChange(without(row.id))}>undo</button>
      ${faults.filter((f) => f.pointer === row.id || f.pointer.startsWith(`${row.id}/`)).slice(0, 1).map((f) => html`<span class="fault"> ${f.detail}</span>`)}</li>`)}</ul>
    ${list.length > 100 && html`<p class="small soft">The first 100 of ${list.length}.</p>`}</section>`;
}
