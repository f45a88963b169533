// A collection of the API, page by page, kept fresh while it is looked at.
import { useCallback, useEffect, useState } from "./ui.js";
import { get, online } from "./api.js";

const SIZE = 50;
const LARGEST = 200;

const sized = (path, limit, cursor) => `${path}${path.includes("?") ? "&" : "?"}limit=${limit}${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`;

/** {items, error, busy, more, reload}: `more()` reads the next page, null at the last; read again every `every` ms if given. */
export function usePages(path, every = 0) {
  const [state, setState] = useState({ items: undefined, cursor: null, error: null, busy: true, path });
  const current = state.path === path;
  const read = useCallback(async (append, limit = SIZE, quiet = false) => {
    setState((old) => ({ ...old, busy: true }));
    try {
      const page = await get(sized(path, limit, append), { quiet });
      setState((old) => ({ items: append ? [...old.items, ...page.items] : page.items, cursor: page.next_cursor, error: null, busy: false, path }));
    } catch (error) {
      setState((old) => ({ ...old, error, busy: false, path }));
    }
  }, [path]);
  useEffect(() => { read(null); }, [path]);
  useEffect(() => online.watch((now) => now && state.error && read(null)), [state.error, read]);
  const shown = state.items?.length ?? 0;
  useEffect(() => {
    if (!every || shown > LARGEST) return undefined;
    const timer = setInterval(() => document.visibilityState === "visible" && read(null, Math.max(SIZE, shown), true), every);
    return () => clearInterval(timer);
  }, [every, shown, read]);
  return {
    items: current ? state.items : undefined, error: state.error, busy: state.busy,
    more: state.cursor ? () => read(state.cursor) : null, reload: () => read(null, Math.min(LARGEST, Math.max(SIZE, shown))),
  };
}
