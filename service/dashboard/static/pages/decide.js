// Decide: a policy, the state of today, its recommendation, and what the planner makes of it.
import { html, useEffect, useMemo, useRef, useState } from "../lib/ui.js";
import { get, post } from "../lib/api.js";
import { useDraft } from "../lib/drafts.js";
import { useGet, useLoad } from "../lib/load.js";
import { go, href } from "../lib/router.js";
import { Act } from "../parts/dialog.js";
import { Loaded, Tag, toast } from "../parts/notice.js";
import { Page, Sheet, Tabs } from "../parts/page.js";
import { StateEditor } from "../parts/state_editor.js";
import { Choose } from "./decide/choose.js";
import { StateFiles } from "./decide/files.js";
import { StateText } from "./decide/text.js";
import { Recommendation } from "./decide/recommendation.js";

export default function Decide({ params, query }) {
  return params.ref ? html`<${ForPolicy} key=${params.ref} policyRef=${params.ref} recommendationId=${query.rec} />` : html`<${Choose} />`;
}

function ForPolicy({ policyRef, recommendationId }) {
  const path = `/v1/policies/${encodeURIComponent(policyRef)}`;
  const facts = useLoad(async () => {
    const [card, wants] = await Promise.all([get(path), get(`${path}/state`)]);
    return { card, wants };
  }, [path]);
  return html`<${Page} title=${`Decide with ${policyRef}`} crumbs=${[["Decide", "#/decide"]]}
    lead="Say how things stand, ask, and judge what the policy recommends."
    actions=${html`<a class="button" href=${href("/decisions", { policy: policyRef })}>History</a>`}>
    <${Loaded} of=${facts} what="what the policy wants to know">${({ card, wants }) => html`<${Asking} policyRef=${policyRef} path=${path} card=${card} wants=${wants} recommendationId=${recommendationId} />`}<//>
  <//>`;
}

const OPTIONS = { explain: true, figures: true };

function Asking({ policyRef, path, card, wants, recommendationId }) {
  const [state, setState, , kept] = useDraft(`state.${card.instance_id}`, wants.today);
  const [faults, setFaults] = useState([]);
  const [tab, setTab] = useState("table");
  const change = (next) => { setState(next); setFaults([]); };
  const ask = async () => {
    setFaults([]);
    try {
      const answer = await post(`${path}/recommend`, { state, options: OPTIONS });
      go(`/decide/${encodeURIComponent(policyRef)}`, { rec: answer.recommendation_id }, true);
    } catch (error) {
      setFaults((error.errors || []).map((e) => ({ ...e, pointer: e.pointer.replace(/^\/state/, "") })));
      throw error;
    }
  };
  return html`
    ${!card.recommended_for_use && html`<div class="notice warn"><strong>Not recommended for use</strong><span>A classical rule is cheaper than this policy, or its training was stopped before the comparison${card.better_rule ? html`; <a href=${href(`/decide/${card.better_rule}`)}>decide with the better rule</a> instead` : ""}.</span></div>`}
    <${Sheet} title="State of today" aside=${html`<${Origin} state=${state} today=${wants.today} kept=${kept} reset=${() => change(wants.today)} />`}>
      <${Tabs} label="How to give the state" current=${tab} onChange=${setTab} tabs=${[
        ["table", "Type or paste", () => html`<p class="small soft">Click a cell and paste from a spreadsheet: cells go to the right and down; with names in the first column, onto the lines of these names.</p>
          <${StateEditor} schema=${wants.json_schema} value=${state} onChange=${change} faults=${faults} />`],
        ["files", "Upload files", () => html`<${StateFiles} path=${path} wants=${wants} onState=${(next) => { change(next); setTab("table"); toast("The files make a state; look at it before you ask."); }} />`],
        ["json", "As JSON", () => html`<${StateText} draft=${`state-text.${card.instance_id}`} name=${card.name} value=${state} onChange=${change} />`],
      ]} />
      <${Act} label="Recommend" busyLabel="Deciding …" action=${ask} />
    <//>
    ${recommendationId && html`<${Answer} key=${recommendationId} id=${recommendationId} wants=${wants} state=${state} />`}`;
}

/** Whether the state shown is the instance's own or was typed, and the way back. */
function Origin({ state, today, kept, reset }) {
  const same = useMemo(() => JSON.stringify(state) === JSON.stringify(today), [state, today]);
  if (same) return html`<span class="soft small">The instance's own initial state</span>`;
  return html`<${Tag} tone="live">${kept ? "Kept from last time" : "Typed here"}<//><button class="quiet" onClick=${reset}>Back to the initial state</button>`;
}

function Answer({ id, wants, state }) {
  const found = useGet(`/v1/recommendations/${id}`);
  const top = useRef(null);
  useEffect(() => { if (found.data) top.current.scrollIntoView({ block: "start" }); }, [found.data === undefined]);
  return html`<div ref=${top}></div><${Loaded} of=${found} what="the recommendation">${(record) => html`
    ${asked(record) !== JSON.stringify(state) && html`<div class="notice warn" role="status">The state above has changed since this was recommended. Ask again for a decision that fits it.</div>`}
    <${Recommendation} record=${record} wants=${wants} reload=${found.reload} />`}<//>`;
}

const asked = (record) => JSON.stringify(record.request?.state ?? record.response?.state);
