// What went wrong or well, in words, next to its cause.
import { html, cell, useCell } from "../lib/ui.js";
import { words } from "../lib/format.js";

/** A refusal by the API, or any error: what, why, which fields, and the request's id to quote. */
export function Problem({ error, retry }) {
  if (!error) return null;
  const known = error.errors || [];
  return html`<div class="notice bad" role="alert">
    <strong>${error.title || "Something went wrong"}</strong>
    <span>${error.message}</span>
    ${known.length > 0 && html`<ul>${known.slice(0, 20).map((e) => html`<li><code>${e.pointer || "/"}</code>: ${e.detail}</li>`)}</ul>`}
    ${known.length > 20 && html`<span>… and ${known.length - 20} more.</span>`}
    ${error.requestId && html`<span class="small soft">Request <code>${error.requestId}</code></span>`}
    ${retry && html`<div><button onClick=${retry}>Try again</button></div>`}
  </div>`;
}

/** Loading, refused, or there: draws `children(data)` when there is data. */
export function Loaded({ of, what = "this", children }) {
  if (of.error && of.data === undefined) return html`<${Problem} error=${of.error} retry=${of.reload} />`;
  if (of.data === undefined) return html`<p class="busy" role="status">Reading ${what} …</p>`;
  return html`${of.error && html`<${Problem} error=${of.error} retry=${of.reload} />`}${children(of.data)}`;
}

/** Nothing there yet, and what to do about it. */
export const Empty = ({ children }) => html`<div class="empty">${children}</div>`;

const TONES = {
  succeeded: "good", failed: "bad", cancelled: "warn", cancelling: "warn", running: "live", starting: "live", finalizing: "live",
  accepted: "good", overridden: "warn", rejected: "bad", critical: "bad", warning: "warn", passed: "good",
};

/** A state as a coloured word. */
export const Tag = ({ state, tone, children }) => html`<span class="tag ${tone ?? TONES[state] ?? ""}">${children ?? words(state)}</span>`;

const toasts = cell([]);
let counter = 0;

/** Say something briefly at the edge of the page. */
export function toast(text, tone = "good") {
  const id = ++counter;
  toasts.set((list) => [...list, { id, text, tone }]);
  setTimeout(() => toasts.set((list) => list.filter((t) => t.id !== id)), 6000);
}

/** Where toasts appear. */
export function Toasts() {
  const list = useCell(toasts);
  return html`<div class="toasts" role="status" aria-live="polite">
    ${list.map((t) => html`<div key=${t.id} class="notice ${t.tone}">${t.text}</div>`)}
  </div>`;
}
