// Addresses of pages: everything after `#`, e.g. `#/instances/ins_…?tab=fan`. No server needs to know them.
import { cell } from "./ui.js";

function read() {
  const [path, query = ""] = (location.hash.slice(1) || "/").split("?");
  return { path, query: Object.fromEntries(new URLSearchParams(query)) };
}

/** Where we are: {path, query}. */
export const place = cell(read());
addEventListener("hashchange", () => place.set(read()));

/** The address of a page. */
export function href(path, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const text = new URLSearchParams(given).toString();
  return `#${path}${text ? `?${text}` : ""}`;
}

/** Go to a page; `replace` leaves no step behind in the history. */
export function go(path, query = {}, replace = false) {
  const target = href(path, query);
  if (replace) {
    history.replaceState(null, "", target);
    place.set(read());
  } else location.hash = target;
}

/** The first route that fits a path, with its parameters: routes are [pattern, …] with `:name` for one part. */
export function match(routes, path) {
  for (const route of routes) {
    const names = [];
    const source = route[0].replace(/:(\w+)/g, (_, name) => { names.push(name); return "([^/]+)"; });
    const found = new RegExp(`^${source}$`).exec(path);
    if (found) return { route, params: Object.fromEntries(names.map((n, i) => [n, decodeURIComponent(found[i + 1])])) };
  }
  return null;
}
