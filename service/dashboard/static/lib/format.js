// Numbers, times and words as a planner reads them.

/** A number at sensible length: 1,234,567 · 12.35 · 0.0123; "–" for nothing. */
export function number(value, digits = 4) {
  if (value === null || value === undefined || value === "") return "–";
  if (typeof value !== "number") return String(value);
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  const maximumFractionDigits = size >= 10 ** (digits - 1) || Number.isInteger(value) ? 0 : Math.min(8, Math.max(0, digits - 1 - Math.floor(Math.log10(size || 1))));
  return value.toLocaleString("en-US", { maximumFractionDigits }).replace("-", "−");
}

/** A share as per cent. */
export const percent = (share, digits = 1) =>
  share === null || share === undefined ? "–" : `${(100 * share).toFixed(digits).replace("-", "−")} %`;

/** A mean with its interval: 12.3 [12.1, 12.5]. */
export const interval = (mean, ci) => (ci ? `${number(mean)} [${number(ci[0])}, ${number(ci[1])}]` : number(mean));

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const STEPS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

/** How long ago (or ahead) a moment is: "3 minutes ago". */
export function ago(moment, now = Date.now()) {
  if (!moment) return "–";
  const seconds = (new Date(moment).getTime() - now) / 1000;
  const [unit, size] = STEPS.find(([, step]) => Math.abs(seconds) >= step) || STEPS[3];
  return relative.format(Math.round(seconds / size), unit);
}

/** A moment in the planner's own time zone. */
export const when = (moment) =>
  moment ? new Date(moment).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" }) : "–";

/** Seconds as a duration: 45 s · 3 min · 3 min 20 s · 2 h 05 min. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const s = Math.round(seconds);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min${s % 60 ? ` ${String(s % 60).padStart(2, "0")} s` : ""}`;
  if (s % 3600 < 60) return `${Math.floor(s / 3600)} h`;
  return `${Math.floor(s / 3600)} h ${String(Math.floor((s % 3600) / 60)).padStart(2, "0")} min`;
}

/** Bytes with a unit. */
export function bytes(count) {
  if (count === null || count === undefined) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const step = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(count, 1)) / 10));
  return `${number(count / 1024 ** step, 3)} ${units[step]}`;
}

/** An identifier as words: `lost_sales` → "Lost sales". */
export function words(name) {
  const text = String(name).replaceAll("_", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** A title inside a sentence: "Base stock" → "base stock", but "SDDP" as it is. */
export const inSentence = (title) => (/^[A-Z][a-z]/.test(title) ? title.charAt(0).toLowerCase() + title.slice(1) : title);

/** The short form of an id, for tables; the whole stands in its title. */
export const shortId = (id) => (id ? `${id.slice(0, 4)}…${id.slice(-6)}` : "–");

/** JSON as one reads it: objects over several lines, a list of plain values in one. */
export function compactJson(value, indent = "") {
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const isList = Array.isArray(value);
  const parts = isList ? value : Object.entries(value);
  if (!parts.length) return isList ? "[]" : "{}";
  if (isList && parts.every((v) => v === null || typeof v !== "object")) return `[${parts.map((v) => JSON.stringify(v)).join(", ")}]`;
  const deeper = `${indent}  `;
  const lines = isList ? parts.map((v) => deeper + compactJson(v, deeper)) : parts.map(([k, v]) => `${deeper}${JSON.stringify(k)}: ${compactJson(v, deeper)}`);
  return `${isList ? "[" : "{"}\n${lines.join(",\n")}\n${indent}${isList ? "]" : "}"}`;
}
