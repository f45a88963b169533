// Titles of problems and solvers, as the API has them, instead of their names.
import { useEffect, useState } from "./ui.js";
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
