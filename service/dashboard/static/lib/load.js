// Reading resources into components, again when the line comes back.
import { useCallback, useEffect, useState } from "./ui.js";
import { get, online } from "./api.js";

/** What `read()` gives: {data, error, busy, reload}. Read again when `keys` change or the server is back. */
export function useLoad(read, keys) {
  const [state, setState] = useState({ data: undefined, error: null, busy: true });
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    let current = true;
    setState((old) => ({ ...old, busy: true }));
    Promise.resolve()
      .then(read)
      .then((data) => current && setState({ data, error: null, busy: false }))
      .catch((error) => current && setState((old) => ({ data: old.data, error, busy: false })));
    return () => { current = false; };
  }, [...keys, turn]);
  const reload = useCallback(() => setTurn((n) => n + 1), []);
  useEffect(() => online.watch((now) => now && state.error && reload()), [state.error]);
  return { ...state, reload };
}

/** One resource by its path; a null path reads nothing. */
export const useGet = (path) => useLoad(() => (path ? get(path) : undefined), [path]);

/** Call `work` now and every `ms` while the page is seen. */
export function useEvery(ms, work, keys = []) {
  useEffect(() => {
    const timer = setInterval(() => document.visibilityState === "visible" && work(), ms);
    return () => clearInterval(timer);
  }, [ms, ...keys]);
}
