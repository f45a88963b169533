// What a planner has typed and not sent yet: kept in the browser, so that neither a lost server, a closed tab nor a
// mistaken click loses it.
import { useCallback, useEffect, useRef, useState } from "./ui.js";

const PREFIX = "herenow.draft.";
const WRITE_MS = 150;

/** The names of the drafts that begin with a prefix. */
export const draftNames = (prefix) => Object.keys(localStorage).filter((key) => key.startsWith(PREFIX + prefix)).map((key) => key.slice(PREFIX.length)).sort();

/** Keep a draft under a name; false where the browser has no room for it (it then lives as long as the page). */
export function writeDraft(name, value) {
  try {
    localStorage.setItem(PREFIX + name, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}

/** Drop a draft, once it has been sent or thrown away. */
export const dropDraft = (name) => localStorage.removeItem(PREFIX + name);

/** The draft of that name; undefined if there is none. */
export function readDraft(name) {
  const text = localStorage.getItem(PREFIX + name);
  return text === null ? undefined : JSON.parse(text);
}

/** Like `useState`, kept under a name: [value, setValue, drop, wasKept]. */
export function useDraft(name, initial) {
  const [value, setValue] = useState(() => readDraft(name) ?? initial);
  const [kept, setKept] = useState(() => readDraft(name) !== undefined);
  const pending = useRef(null);
  const shown = useRef(name);
  useEffect(() => {
    if (shown.current === name) return;
    shown.current = name;
    setValue(readDraft(name) ?? initial);
    setKept(readDraft(name) !== undefined);
  }, [name]);
  const write = useCallback((next) => {
    setValue((old) => {
      const made = typeof next === "function" ? next(old) : next;
      clearTimeout(pending.current);
      pending.current = setTimeout(() => writeDraft(name, made), WRITE_MS);
      return made;
    });
  }, [name]);
  const drop = useCallback((next = initial) => {
    clearTimeout(pending.current);
    dropDraft(name);
    setKept(false);
    setValue(next);
  }, [name, initial]);
  return [value, write, drop, kept];
}
