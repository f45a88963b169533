// A network of the API, drawn in columns from left to right, or freely where it has no direction.
import { html } from "../lib/ui.js";
import { number } from "../lib/format.js";
import { colour } from "../lib/theme.js";
import { Chart, Drawing } from "./chart.js";

const MANY_NODES = 60;
const MANY_LINKS = 30;
const WIDE_TIERS = 4; // from so many columns on, labels need the whole width of the page

const escapeHtml = (text) => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
const factText = ([name, value, unit]) => `${name}: ${number(value)}${unit ? ` ${unit}` : ""}`;
const tiersOf = (of) => [...new Set(of.nodes.map((n) => n.tier ?? 0))].sort((a, b) => a - b);

/** Whether a network is too wide for half a page. */
export const isWideNetwork = (of) => of.layout !== "free" && tiersOf(of).length >= WIDE_TIERS;

export function NetworkMap({ of, level }) {
  const groups = [...new Set(of.nodes.map((n) => n.group ?? ""))];
  const place = of.layout === "free" ? null : placesOf(of);
  const option = (shared) => ({
    legend: { ...shared.base.legend, show: groups.length > 1, data: groups },
    tooltip: { ...shared.base.tooltip, trigger: "item", formatter: tooltip },
    ...(place ? axesOf(place.columns) : {}),
    series: [{
      type: "graph", categories: groups.map((name) => ({ name })), ...(place ? { coordinateSystem: "cartesian2d" } : freely(of)),
      label: { show: of.nodes.length <= MANY_NODES, position: "bottom", ...shared.text, formatter: ({ data }) => data.title },
      edgeSymbol: ["none", "arrow"], edgeSymbolSize: 8,
      edgeLabel: { show: of.links.length <= MANY_LINKS, color: colour("--text"), opacity: 1, fontSize: 11, formatter: ({ data }) => data.note },
      lineStyle: { color: colour("--line-strong"), width: 1.5, opacity: 1 },
      data: of.nodes.map((node) => ({
        id: node.id, name: node.id, title: node.label || node.id, category: groups.indexOf(node.group ?? ""), symbolSize: of.nodes.length > MANY_NODES ? 9 : 26,
        facts: (node.facts || []).map(factText), ...(place ? { value: place.at(node) } : {}),
      })),
      links: of.links.map((link) => ({
        source: link.from, target: link.to, note: link.label || "", facts: (link.facts || []).map(factText), lineStyle: { curveness: place ? place.bend(link) : 0 },
      })),
    }],
  });
  const rows = of.nodes.map((n) => [n.label || n.id, n.group ?? "", (n.facts || []).map(factText).join("; ")]);
  const height = place ? Math.min(640, Math.max(280, 70 * place.tallest + 100)) : Math.min(640, 300 + 4 * of.nodes.length);
  return html`<${Drawing} title=${of.title} caption=${of.caption} level=${level} table=${{ columns: ["Node", "Kind", "Facts"], rows }}>
    <${Chart} option=${option} keys=${[of]} height=${height} label=${`${of.title}: ${of.nodes.length} nodes and ${of.links.length} links`} /><//>`;
}

/** Where nodes stand in columns, and how far a link must bend to pass the nodes it jumps over. */
function placesOf(of) {
  const tiers = tiersOf(of);
  const byTier = new Map(tiers.map((t) => [t, of.nodes.filter((n) => (n.tier ?? 0) === t)]));
  const column = new Map(of.nodes.map((n) => [n.id, tiers.indexOf(n.tier ?? 0)]));
  const at = (node) => {
    const tier = byTier.get(node.tier ?? 0);
    return [column.get(node.id), (tier.indexOf(node) + 0.5) / tier.length];
  };
  const bend = ({ from, to }) => (Math.abs(column.get(from) - column.get(to)) > 1 ? 0.22 : 0.06);
  return { at, bend, columns: tiers.length, tallest: Math.max(...[...byTier.values()].map((tier) => tier.length)) };
}

const axesOf = (columns) => ({
  grid: { left: 20, right: 20, top: 44, bottom: 20 },
  xAxis: { show: false, type: "value", min: -0.5, max: columns - 0.5 },
  yAxis: { show: false, type: "value", min: 0, max: 1, inverse: true },
});

/** Laid out by forces, from a circle on, so that the same figure is drawn the same way each time. */
const freely = (of) => ({
  layout: "force", roam: true, top: 56, bottom: 32,
  force: { initLayout: "circular", repulsion: of.nodes.length > MANY_NODES ? 60 : 260, edgeLength: of.nodes.length > MANY_NODES ? 30 : 80, gravity: 0.12, layoutAnimation: false },
});

function tooltip({ data, dataType }) {
  const head = dataType === "node" ? `<b>${escapeHtml(data.title)}</b>` : `${escapeHtml(data.source)} → ${escapeHtml(data.target)}${data.note ? ` · ${escapeHtml(data.note)}` : ""}`;
  return [head, ...data.facts.map(escapeHtml)].join("<br>");
}
