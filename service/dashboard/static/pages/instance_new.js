// A new instance: from an example, a file, published case files or a blank page; and the editor of one not yet stored.
import { html } from "../lib/ui.js";
import { href } from "../lib/router.js";
import { useGet, useLoad } from "../lib/load.js";
import { get } from "../lib/api.js";
import { readDraft } from "../lib/drafts.js";
import { blankOf } from "../lib/schema.js";
import { Page } from "../parts/page.js";
import { Loaded } from "../parts/notice.js";
import { Chooser } from "./instance/chooser.js";
import { Editor, draftName } from "./instance/editor.js";

const CRUMBS = [["Instances", "#/instances"]];

/** Where the document comes from, by the address: {key, read}; null for the choice of a source. */
function sourceOf({ from, example, blank, draft }) {
  if (from) return { key: from, read: async () => (await get(`/v1/instances/${from}`)).document };
  if (example) {
    const [problem, name] = example.split("/");
    return { key: `${problem}.${name}`, read: () => get(`/v1/problems/${problem}/examples/${name}`) };
  }
  if (blank) return { key: `blank.${blank}`, read: async () => blankDocument(await get(`/v1/problems/${blank}/schema`), blank) };
  return draft ? { key: draft, read: async () => { throw new Error("There is no such draft in this browser any more."); } } : null;
}

const blankDocument = (schema, problem) => ({ problem, name: "unnamed", ...blankOf(schema, schema) });

export default function NewInstance({ query }) {
  const source = sourceOf(query);
  if (!source) return html`<${Page} title="New instance" crumbs=${CRUMBS} lead="Start from what is closest to your own case; everything can be changed before it is stored."><${Chooser} tab=${query.tab} problem=${query.problem} /><//>`;
  return html`<${Opened} key=${source.key} source=${source} tab=${query.tab} />`;
}

/** A draft of this browser, or else its source. */
function Opened({ source, tab }) {
  const start = useLoad(async () => ({ document: readDraft(draftName(source.key))?.document ?? (await source.read()) }), [source.key]);
  const problems = useGet("/v1/problems");
  const title = start.data ? `Edit ${start.data.document?.name || "instance"}` : "Edit an instance";
  return html`<${Page} title=${title} crumbs=${[...CRUMBS, ["New", href("/instances/new")]]} lead="A stored instance never changes: what you change here is stored as a new one.">
    <${Loaded} of=${start} what="the document">${({ document }) => html`<${Loaded} of=${problems} what="the problems">${({ items }) =>
      html`<${Editor} source=${source} first=${document} known=${items} tab=${tab} />`}<//>`}<//>
  <//>`;
}
