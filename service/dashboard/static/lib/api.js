// The public API as the browser meets it: requests, problem documents as errors, and what happens when the line is lost.
import { cell } from "./ui.js";

const KEY = "herenow.key";
const LOOK_MS = 1500;
const WATCH_MS = 4000;

/** Whether the server answers; null until the first request has. */
export const online = cell(null);
/** Whether the server asks for a key that we do not have (or that it does not take). */
export const keyWanted = cell(false);
/** What the page shown has asked of the API, for "copy as curl": [{method, path, body}], newest last. */
export const asked = cell([]);

export const getKey = () => sessionStorage.getItem(KEY) || localStorage.getItem(KEY) || "";

/** Keep a key for this tab, or for this browser if it shall be remembered; an empty one forgets. */
export function setKey(key, remember = false) {
  sessionStorage.removeItem(KEY);
  localStorage.removeItem(KEY);
  if (key) (remember ? localStorage : sessionStorage).setItem(KEY, key);
  keyWanted.set(false);
}

/** A refusal: the problem document's words, with the request's id. `errors`: [{pointer, detail}]. */
export class ApiProblem extends Error {
  constructor(document, status, requestId) {
    super(document.detail || document.title || `The server answered ${status}.`);
    Object.assign(this, { title: document.title || `Status ${status}`, status, requestId });
    this.type = (document.type || "").split("/").pop();
    this.errors = document.errors || [];
    this.document = document;
  }
}

/** The server cannot be reached. What was typed stays where it is. */
export class Offline extends Error {
  constructor() {
    super("The server does not answer. Nothing you typed is lost; try again when it is back.");
    this.title = "Server not reached";
    this.errors = [];
  }
}

function headersOf({ accept, headers = {}, body, form }) {
  const sent = { Accept: accept || "application/json", ...headers };
  if (body !== undefined && !form) sent["Content-Type"] = "application/json";
  const key = getKey();
  if (key) sent.Authorization = `Bearer ${key}`;
  return sent;
}

function note(method, path, options) {
  if (options.quiet) return;
  const call = { method, path, body: options.body, headers: options.headers, form: Boolean(options.form) };
  asked.set((calls) => [...calls.filter((c) => c.method !== method || c.path !== path), call].slice(-12));
}

/** The response itself, whatever its status; `Offline` if there is none. */
export async function send(method, path, options = {}) {
  note(method, path, options);
  const body = options.form || (options.body === undefined ? undefined : JSON.stringify(options.body));
  let response;
  try {
    response = await fetch(path, { method, headers: headersOf(options), body, signal: options.signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    lost();
    throw new Offline();
  }
  online.set(true);
  return response;
}

/** Ask the API: the answer's document (text where it is not JSON); `ApiProblem` for a refusal. */
export async function api(method, path, options = {}) {
  return (await call(method, path, options)).data;
}

/** Like `api`, with the status and headers: {data, status, headers}. */
export async function call(method, path, options = {}) {
  const response = await send(method, path, options);
  const text = response.status === 204 ? "" : await response.text();
  const isJson = /json/.test(response.headers.get("content-type") || "");
  const data = isJson && text ? JSON.parse(text) : text;
  if (!response.ok) {
    if (response.status === 401) keyWanted.set(true);
    throw new ApiProblem(isJson ? data : {}, response.status, response.headers.get("x-request-id"));
  }
  return { data, status: response.status, headers: response.headers };
}

export const get = (path, options) => api("GET", path, options);
export const post = (path, body, options) => api("POST", path, { body, ...options });
export const put = (path, body, options) => api("PUT", path, { body, ...options });
export const del = (path, options) => api("DELETE", path, options);

/** POST that creates, safe to send again: one Idempotency-Key per click. */
export const create = (path, body, options = {}) =>
  call("POST", path, { ...options, body, headers: { ...options.headers, "Idempotency-Key": crypto.randomUUID() } });

/** Every item of a collection, page after page, up to `most`. */
export async function collect(path, most = 10000) {
  const items = [];
  let cursor = null;
  do {
    const parts = [path.includes("?") ? "&" : "?", "limit=200", cursor ? `&cursor=${cursor}` : ""];
    const page = await get(path + parts.join(""), { quiet: Boolean(cursor) });
    items.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor && items.length < most);
  return items;
}

/** Save an answer as a file of the browser's downloads. */
export async function download(method, path, options, fileName) {
  const response = await send(method, path, options);
  if (!response.ok) {
    throw new ApiProblem(await response.json().catch(() => ({})), response.status, response.headers.get("x-request-id"));
  }
  saveBlob(await response.blob(), fileName);
}

/** Offer a blob to the browser's downloads. */
export function saveBlob(blob, fileName) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: fileName });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

let looking = null;

const isThere = async () => Boolean((await fetch("/healthz/live", { cache: "no-store" }).catch(() => null))?.ok);

/** The line is lost: look for the server until it answers again. */
function lost() {
  online.set(false);
  looking ??= setInterval(async () => {
    if (!(await isThere())) return;
    clearInterval(looking);
    looking = null;
    online.set(true);
  }, LOOK_MS);
}

/** Notice a lost server also on a page that asks for nothing. */
export function watchLine() {
  setInterval(async () => {
    if (document.visibilityState === "visible" && !looking && !(await isThere())) lost();
  }, WATCH_MS);
}
