// A configuration as a list of names and values, folded away until asked for.
import { html } from "../lib/ui.js";
import { number, words } from "../lib/format.js";

const shown = (value) => {
  if (value === null) return "–";
  if (typeof value === "number") return number(value, 8);
  if (typeof value === "boolean") return value ? "yes" : "no";
  return typeof value === "string" ? value : JSON.stringify(value);
};

/** An object's fields in words. */
export const Settings = ({ of, label = "All settings", open = false }) => html`<details open=${open}><summary>${label}</summary>
  <dl class="settings">${Object.entries(of || {}).map(([name, value]) => html`<dt>${words(name)}</dt><dd class="number">${shown(value)}</dd>`)}</dl></details>`;
