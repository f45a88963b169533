// The frame: navigation, the page of the address, and what must be told on any page (no line, no key).
import { html, render, useEffect, useRef, useState, useCell, useErrorBoundary } from "./lib/ui.js";
import { place, match } from "./lib/router.js";
import { asked, get, keyWanted, online, setKey, watchLine } from "./lib/api.js";
import { setTheme, theme } from "./lib/theme.js";
import { Dialog } from "./parts/dialog.js";
import { Problem, Toasts } from "./parts/notice.js";

// Pattern of the address, the file that draws it (each has one default export), the item of the navigation it belongs to.
const ROUTES = [
  ["/", () => import("./pages/home.js"), "/"],
  ["/train", () => import("./pages/train.js"), "/train"],
  ["/jobs", () => import("./pages/jobs.js"), "/train"],
  ["/jobs/:id", () => import("./pages/job.js"), "/train"],
  ["/policies", () => import("./pages/policies.js"), "/policies"],
  ["/policies/:ref", () => import("./pages/policy.js"), "/policies"],
  ["/instances", () => import("./pages/instances.js"), "/instances"],
  ["/instances/new", () => import("./pages/instance_new.js"), "/instances"],
  ["/instances/:id", () => import("./pages/instance.js"), "/instances"],
  ["/decide", () => import("./pages/decide.js"), "/decide"],
  ["/decide/:ref", () => import("./pages/decide.js"), "/decide"],
  ["/decisions", () => import("./pages/decisions.js"), "/decide"],
  ["/decisions/:id", () => import("./pages/decision.js"), "/decide"],
  ["/evaluate", () => import("./pages/evaluate.js"), "/evaluate"],
  ["/evaluate/run", () => import("./pages/evaluate/run.js"), "/evaluate"],
  ["/what-if", () => import("./pages/what_if.js"), "/evaluate"],
  ["/what-if/result", () => import("./pages/what_if/result.js"), "/evaluate"],
  ["/evaluations/:id", () => import("./pages/evaluation.js"), "/evaluate"],
  ["/settings", () => import("./pages/settings.js"), "/settings"],
];
const ITEMS = [["/", "Home"], ["/instances", "Instances"], ["/train", "Train"], ["/policies", "Policies"], ["/decide", "Decide"], ["/evaluate", "Evaluate"], ["/settings", "Settings"]];

function Nav({ current }) {
  const look = useCell(theme);
  return html`<nav class="nav" aria-label="Main">
    <a class="brand" href="#/"><img src=${new URL("icon.svg", import.meta.url)} alt="" />Herenow</a>
    ${ITEMS.map(([path, label]) => html`<a class="item" href=${`#${path}`} aria-current=${current === path ? "page" : undefined}>${label}</a>`)}
    <div class="rest">
      <button class="quiet" onClick=${() => setTheme(look === "dark" ? "light" : "dark")}>${look === "dark" ? "Light" : "Dark"} colours</button>
      <a href="/docs">API</a>
    </div>
  </nav>`;
}

function KeyDialog() {
  const wanted = useCell(keyWanted);
  const [key, take] = useState("");
  const [remember, setRemember] = useState(false);
  const [error, setError] = useState(null);
  const enter = async (event) => {
    event.preventDefault();
    setKey(key.trim(), remember);
    try {
      await get("/v1/version", { quiet: true });
      location.reload();
    } catch (caught) {
      setError(caught);
    }
  };
  return html`<${Dialog} open=${wanted} onClose=${() => keyWanted.set(false)} title="This service asks for a key">
    <form class="stack" onSubmit=${enter}>
      <p>Whoever runs it makes keys with <code>herenow keys create</code>. The key stays in this browser.</p>
      <label for="key">Key</label><input id="key" type="password" autocomplete="off" value=${key} onInput=${(e) => take(e.currentTarget.value)} />
      <label><input type="checkbox" checked=${remember} onChange=${(e) => setRemember(e.currentTarget.checked)} /> Remember it on this computer</label>
      <${Problem} error=${error} />
      <div class="row end"><button class="main" type="submit">Use this key</button></div>
    </form><//>`;
}

const loaded = new Map();

function Current({ route, params, query }) {
  const [Found, setFound] = useState(() => loaded.get(route[0]));
  const [failed, setFailed] = useState(null);
  const [broken, mend] = useErrorBoundary((error) => console.error(error));
  useEffect(() => {
    if (Found) return;
    route[1]().then((module) => { loaded.set(route[0], module.default); setFound(() => module.default); }, setFailed);
  }, []);
  if (broken || failed) return html`<${Problem} error=${broken || failed} retry=${() => (failed ? location.reload() : mend())} />`;
  return Found ? html`<${Found} params=${params} query=${query} />` : html`<p class="busy" role="status">Opening the page …</p>`;
}

function App() {
  const { path, query } = useCell(place);
  const line = useCell(online);
  const main = useRef(null);
  const shown = useRef(path);
  const found = match(ROUTES, path);
  useEffect(() => {
    asked.set([]);
    if (shown.current === path) return; // the first page leaves the keyboard at its top
    shown.current = path;
    main.current.focus({ preventScroll: true });
    scrollTo(0, 0);
  }, [path]);
  return html`<div class="frame">
    <a class="skip" href="#main" onClick=${(e) => { e.preventDefault(); main.current.focus(); }}>Skip to the page</a>
    ${line === false && html`<div class="offline" role="alert">The server does not answer. What you typed is kept; this page goes on when the server is back.</div>`}
    <${Nav} current=${found?.route[2]} />
    <main id="main" tabindex="-1" ref=${main}>
      ${found ? html`<${Current} key=${path} route=${found.route} params=${found.params} query=${query} />`
        : html`<h1>There is no such page</h1><p><a href="#/">Home</a></p>`}
    </main>
    <${KeyDialog} /><${Toasts} />
  </div>`;
}

watchLine();
const app = document.getElementById("app");
app.replaceChildren();
render(html`<${App} />`, app);
