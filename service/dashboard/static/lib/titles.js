// Titles of problems and solvers, as the API has them, instead of their names.
import { useCallback, useEffect, useState } from "./ui.js";
import { get } from "./api.js";
import { words } from "./format.js";

let known = null;
const read = () => (known ??= Promise.all(["/v1/problems", "/v1/solvers"].map((path) => get(path, { quiet: true })))
  .then((lists) => new Map(lists.flatMap((list) => list.items.map((item) => [item.name, item.title]))))
  .catch((error) => { known = null; throw error; }));

/** A function from a problem's or solver's name to its title; until titles are known (or for others) the name in words. */
export function useTitles() {
  const [titles, setTitles] = useState(new Map());
  useEffect(() => {
    let current = true;
    read().then((found) => current && setTitles(found), () => {}); // without titles the names do
    return () => { current = false; };
  }, []);
  return (name) => titles.get(name) ?? words(name);
}

const families = new Map();

function readFamilies(problem) {
  if (!families.has(problem)) {
    const reading = get(`/v1/problems/${problem}`, { quiet: true }).then((found) => new Map(found.families.map((family) => [family.name, family.title])));
    families.set(problem, reading.catch((error) => { families.delete(problem); throw error; }));
  }
  return families.get(problem);
}

/** A function from the name of a problem's rule or policy family to its title; the name in words until it is known. */
export function useRules(problem) {
  const [titles, setTitles] = useState(new Map());
  useEffect(() => {
    if (!problem) return undefined;
    let current = true;
    readFamilies(problem).then((found) => current && setTitles(found), () => {}); // without titles the names do
    return () => { current = false; };
  }, [problem]);
  return useCallback((name) => titles.get(name) ?? words(name), [titles]);
}
