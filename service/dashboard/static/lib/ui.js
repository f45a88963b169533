// The one door to the view library: everything else imports from here.
export {
  html, render, useState, useEffect, useLayoutEffect, useRef, useMemo, useCallback, useErrorBoundary,
} from "../vendor/preact-htm.js";
import { useState, useEffect } from "../vendor/preact-htm.js";

/** A value that components may watch: `get`, `set` (a value or a function of the old one), `watch`. */
export function cell(value) {
  const watchers = new Set();
  return {
    get: () => value,
    set(next) {
      const made = typeof next === "function" ? next(value) : next;
      if (Object.is(made, value)) return;
      value = made;
      for (const watcher of [...watchers]) watcher(value);
    },
    watch(watcher) {
      watchers.add(watcher);
      return () => watchers.delete(watcher);
    },
  };
}

/** A cell's value in a component, drawn again when it changes. */
export function useCell(of) {
  const [value, setValue] = useState(of.get());
  useEffect(() => {
    setValue(() => of.get());
    return of.watch((next) => setValue(() => next));
  }, [of]);
  return value;
}
