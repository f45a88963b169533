// The browser's own dialog: it keeps the keyboard inside and closes with Escape.
import { html, useEffect, useRef, useState } from "../lib/ui.js";
import { Problem } from "./notice.js";

/** A dialog over the page, shown while `open`. */
export function Dialog({ open, onClose, title, children }) {
  const ref = useRef(null);
  useEffect(() => {
    if (open && !ref.current.open) ref.current.showModal();
    if (!open && ref.current.open) ref.current.close();
  }, [open]);
  return html`<dialog ref=${ref} onClose=${onClose} aria-label=${title}>
    ${open && html`<div class="stack">
      <div class="row apart"><h2>${title}</h2><button class="quiet" aria-label="Close" onClick=${onClose}>✕</button></div>
      ${children}
    </div>`}
  </dialog>`;
}

/** A button for what cannot be undone: asks first; a refusal is told in the dialog. */
export function Confirm({ label, title, text, action, className = "danger", disabled, confirm = label }) {
  const [open, setOpen] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const run = async () => {
    setBusy(true);
    try {
      await action();
      setOpen(false);
    } catch (caught) {
      setError(caught);
    }
    setBusy(false);
  };
  return html`
    <button class=${className} disabled=${disabled} onClick=${() => { setError(null); setOpen(true); }}>${label}</button>
    <${Dialog} open=${open} onClose=${() => setOpen(false)} title=${title}>
      <p>${text}</p>
      <${Problem} error=${error} />
      <div class="row end">
        <button onClick=${() => setOpen(false)}>Keep it</button>
        <button class="danger" disabled=${busy} onClick=${run}>${confirm}</button>
      </div>
    <//>`;
}

/** A button that waits for its work and tells a refusal beside itself; `about` tells buttons of one label apart. */
export function Act({ label, busyLabel, action, className = "main", disabled, about }) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const run = async () => {
    setBusy(true);
    setError(null);
    try {
      await action();
    } catch (caught) {
      setError(caught);
    }
    setBusy(false);
  };
  return html`<div class="stack"><div><button class=${className} disabled=${busy || disabled} onClick=${run} aria-label=${about && `${label}: ${about}`}>${busy ? busyLabel || "Working …" : label}</button></div>
    <${Problem} error=${error} /></div>`;
}
