// Light and dark, and the colours that charts take from the style sheet.
import { cell } from "./ui.js";

export const theme = cell(document.documentElement.dataset.theme || "light");

/** Choose "light" or "dark", and remember it. */
export function setTheme(name) {
  document.documentElement.dataset.theme = name;
  localStorage.setItem("herenow.theme", name);
  theme.set(name);
}

/** The value of a custom property, e.g. `colour("--text")`. */
export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** The palette of series, in their fixed order (distinguishable with colour-blind eyes). */
export const palette = () => Array.from({ length: 8 }, (_, i) => colour(`--series-${i + 1}`));
