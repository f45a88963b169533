// The head of a page, its sections, and "copy as curl".
import { html, useEffect, useState, useCell } from "../lib/ui.js";
import { asked } from "../lib/api.js";
import { asCurl } from "../lib/curl.js";
import { Dialog } from "./dialog.js";
import { toast } from "./notice.js";

/** A page: `crumbs` are [label, address] from the top, `actions` stand at its right. */
export function Page({ title, crumbs = [], actions, lead, children }) {
  useEffect(() => { document.title = `${title} · Herenow`; }, [title]);
  return html`
    <div class="page-head">
      <div class="stack" style=${{ gap: "4px" }}>
        ${crumbs.length > 0 && html`<nav class="crumbs" aria-label="Where you are">${crumbs.map(([label, to]) => html`<a href=${to}>${label}</a><span aria-hidden="true">›</span>`)}</nav>`}
        <h1>${title}</h1>
        ${lead && html`<p class="soft">${lead}</p>`}
      </div>
      <div class="row">${actions}<${Curl} /></div>
    </div>
    ${children}`;
}

/** A titled sheet of a page. */
export function Sheet({ title, aside, children, level = 2 }) {
  const Heading = `h${level}`;
  return html`<section class="sheet">
    ${title && html`<header><${Heading}>${title}</${Heading}>${aside && html`<div class="row">${aside}</div>`}</header>`}
    ${children}
  </section>`;
}

/** A figure and what it counts. */
export const Stat = ({ label, value, note }) => html`<div class="stat">
  <span class="label">${label}</span><span class="value">${value}</span>${note && html`<span class="small soft">${note}</span>`}</div>`;

function Curl() {
  const [open, setOpen] = useState(false);
  const calls = useCell(asked);
  const text = calls.map(asCurl).join("\n\n");
  return html`
    <button class="quiet" onClick=${() => setOpen(true)} title="What this page asked of the API, for a terminal">Copy as curl</button>
    <${Dialog} open=${open} onClose=${() => setOpen(false)} title="This page as curl">
      <p class="soft">Everything shown here came from the public API by these requests, newest last.</p>
      <pre tabindex="0" class="scroll">${text || "Nothing has been asked yet."}</pre>
      <div class="row end">
        <button class="main" onClick=${() => navigator.clipboard.writeText(text).then(() => toast("Copied."), () => toast("The browser did not allow copying; select the text instead.", "warn"))}>Copy</button>
      </div>
    <//>`;
}

/** Tabs over panels: [[key, label, draw], …]; `current` and `onChange` are the page's own. */
export function Tabs({ tabs, current, onChange, label }) {
  const shown = tabs.find(([key]) => key === current) || tabs[0];
  const step = (event) => {
    const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!move) return;
    const at = (tabs.indexOf(shown) + move + tabs.length) % tabs.length;
    onChange(tabs[at][0]);
    event.currentTarget.children[at].focus();
  };
  return html`
    <div class="tabs" role="tablist" aria-label=${label} onKeyDown=${step}>
      ${tabs.map(([key, text]) => html`<button role="tab" key=${key} id=${`tab-${key}`} aria-selected=${key === shown[0]} aria-controls=${`panel-${key}`}
        tabindex=${key === shown[0] ? 0 : -1} onClick=${() => onChange(key)}>${text}</button>`)}
    </div>
    <div role="tabpanel" class="stack" id=${`panel-${shown[0]}`} aria-labelledby=${`tab-${shown[0]}`} key=${shown[0]}>${shown[2]()}</div>`;
}
