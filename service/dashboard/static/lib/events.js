// A job's server-sent events, with a key where one is needed (EventSource cannot send one) and without a gap.
import { useEffect, useState } from "./ui.js";
import { send } from "./api.js";

const PAUSE_MS = 1000;
const ABOUT = 1500; // events of a long past that are read: the latest, changes of state, and a share of the rest

/** Read a job's events, a long past thinned, until `end`; `onEvent({seq, type, data, created_at})`. Returns a function that stops. */
export function follow(jobId, onEvent, onError = () => {}) {
  const stopped = new AbortController();
  let last = 0;
  const seen = (event) => {
    last = Math.max(last, event.seq);
    onEvent(event);
    return event.type === "end";
  };
  (async () => {
    while (!stopped.signal.aborted) {
      try {
        if (!last) {
          const past = await readPast(jobId, seen, stopped.signal);
          last = past.next_after;
          if (past.ended) return;
        }
        if (await readOnce(jobId, last, seen, stopped.signal)) return;
      } catch (error) {
        if (stopped.signal.aborted) return;
        onError(error);
        if (error.status === 404) return;
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  })();
  return () => stopped.abort();
}

async function readPast(jobId, seen, signal) {
  const response = await send("GET", `/v1/jobs/${jobId}/events?about=${ABOUT}`, { signal, quiet: true });
  if (!response.ok) throw Object.assign(new Error(`The past answered ${response.status}.`), { status: response.status });
  const past = await response.json();
  past.items.forEach(seen);
  return past;
}

async function readOnce(jobId, last, seen, signal) {
  const headers = last ? { "Last-Event-ID": String(last) } : {};
  const response = await send("GET", `/v1/jobs/${jobId}/events`, { accept: "text/event-stream", headers, signal, quiet: true });
  if (response.status === 204) return true; // there is nothing after the last one seen
  if (!response.ok) throw Object.assign(new Error(`The stream answered ${response.status}.`), { status: response.status });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return false;
    const blocks = (rest + value).split(/\r?\n\r?\n/);
    rest = blocks.pop();
    for (const block of blocks) {
      const event = parse(block);
      if (event && seen(event)) return true;
    }
  }
}

/** The event of one block: the API's own document, which has its number and type too. */
function parse(block) {
  const lines = block.split(/\r?\n/).filter((line) => line.startsWith("data:"));
  return lines.length ? JSON.parse(lines.map((line) => line.slice(5)).join("\n")) : null;
}

/** A job's events so far, in a component; `tick` follows their number so that a drawing can be bounded in time. */
export function useEvents(jobId, most = 20_000) {
  const [events, setEvents] = useState([]);
  useEffect(() => {
    if (!jobId) return undefined;
    setEvents([]);
    let waiting = [];
    const timer = setInterval(() => {
      if (!waiting.length) return;
      const fresh = waiting;
      waiting = [];
      setEvents((old) => [...old, ...fresh].slice(-most));
    }, 250);
    const stop = follow(jobId, (event) => waiting.push(event));
    return () => { clearInterval(timer); stop(); };
  }, [jobId]);
  return events;
}
