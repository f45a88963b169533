// Charts by ECharts, loaded when the first one is drawn, in the page's colours, each with its numbers as a table.
import { html, useEffect, useRef, useState, useCell } from "../lib/ui.js";
import { colour, palette, theme } from "../lib/theme.js";
import { number } from "../lib/format.js";

let library = null;
const load = () => (library ??= import("../vendor/echarts.js"));

/** What every chart shares; options of its own are laid over it. */
export function common() {
  const text = { color: colour("--text"), fontFamily: colour("--font") };
  const axis = {
    axisLine: { lineStyle: { color: colour("--line-strong") } },
    axisLabel: { color: colour("--soft") },
    splitLine: { lineStyle: { color: colour("--line") } },
    nameTextStyle: { color: colour("--soft") },
  };
  return {
    text, axis,
    base: {
      animation: false, color: palette(), textStyle: text, grid: { left: 8, right: 24, top: 60, bottom: 8, containLabel: true },
      legend: { type: "scroll", top: 4, textStyle: { color: colour("--text") }, pageTextStyle: { color: colour("--soft") } },
      tooltip: {
        trigger: "axis", confine: true, backgroundColor: colour("--raised"), borderColor: colour("--line"), textStyle: text,
        valueFormatter: (value) => (typeof value === "number" ? number(value) : String(value ?? "–")),
      },
    },
  };
}

/** An ECharts chart. `option(shared)` gives its option; drawn again when `keys` or the theme change. */
export function Chart({ option, keys, label, height, onClick }) {
  const ref = useRef(null);
  const chart = useRef(null);
  const latest = useRef(null);
  latest.current = { option, label }; // the library may come after the numbers have changed
  const look = useCell(theme);
  const [failed, setFailed] = useState(null);
  useEffect(() => {
    let gone = false;
    const observer = new ResizeObserver(() => chart.current?.resize());
    load().then((echarts) => {
      if (gone) return;
      chart.current = echarts.init(ref.current, null, { renderer: "canvas" });
      if (onClick) chart.current.on("click", onClick);
      draw();
      observer.observe(ref.current);
    }).catch(setFailed);
    return () => { gone = true; observer.disconnect(); chart.current?.dispose(); chart.current = null; };
  }, []);
  const draw = () => {
    const shared = common();
    const aria = { enabled: true, label: { description: latest.current.label } }; // else the library tells its own story
    chart.current.setOption({ ...shared.base, aria, ...latest.current.option(shared) }, { notMerge: true });
    ref.current.dataset.drawn = "yes";
  };
  useEffect(() => { if (chart.current) draw(); }, [...keys, look]);
  if (failed) return html`<p class="notice bad">The chart could not be drawn: ${failed.message}</p>`;
  return html`<div class="chart" style=${height ? { height: `${height}px` } : {}} ref=${ref} role="img" aria-label=${label}></div>`;
}

/** A drawing with its title, its caption, and the same numbers as a table for those who want them. */
export function Drawing({ title, caption, table, children, level = 3 }) {
  const Heading = `h${level}`;
  return html`<figure>
    ${title && html`<${Heading}>${title}</${Heading}>`}
    ${children}
    ${caption && html`<figcaption>${caption}</figcaption>`}
    ${table && html`<${Numbers} of=${table} />`}
  </figure>`;
}

const MOST_ROWS = 500;

function Numbers({ of }) {
  const [open, setOpen] = useState(false);
  return html`<details onToggle=${(event) => setOpen(event.currentTarget.open)}>
    <summary class="small">As numbers</summary>
    ${open && html`<div class="scroll" tabindex="0" role="region" aria-label="The figure's numbers"><table>
      <thead><tr>${of.columns.map((c) => html`<th>${c}</th>`)}</tr></thead>
      <tbody>${of.rows.slice(0, MOST_ROWS).map((row) => html`<tr>${row.map((v) => html`<td class=${typeof v === "number" ? "number" : ""}>${number(v, 6)}</td>`)}</tr>`)}</tbody>
    </table></div>${of.rows.length > MOST_ROWS && html`<p class="small soft">The first ${MOST_ROWS} of ${of.rows.length} rows.</p>`}`}
  </details>`;
}
