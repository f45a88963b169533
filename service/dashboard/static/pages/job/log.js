// A job's log: its end, followed while it grows.
import { html, useEffect, useRef, useState } from "../../lib/ui.js";
import { send } from "../../lib/api.js";
import { isFinished } from "../../lib/work.js";

const EVERY_MS = 2000;
const MOST = 200_000; // characters kept on the page

/** The log's text, read piece by piece until the job has ended. */
function useLog(job) {
  const [text, setText] = useState("");
  const finished = isFinished(job);
  const offset = useRef(0);
  useEffect(() => {
    const stopped = new AbortController();
    let timer = null;
    const read = async () => {
      const response = await send("GET", `/v1/jobs/${job.id}/log?offset=${offset.current}`, { accept: "text/plain", signal: stopped.signal, quiet: offset.current > 0 });
      if (!response.ok) return false;
      const piece = await response.text();
      offset.current = Number(response.headers.get("x-next-offset")) || offset.current;
      if (piece) setText((old) => (old + piece).slice(-MOST));
      return piece.length > 0;
    };
    const go = async () => {
      const grew = await read().catch(() => false);
      if (stopped.signal.aborted || (finished && !grew)) return;
      timer = setTimeout(go, grew && finished ? 0 : EVERY_MS);
    };
    go();
    return () => { stopped.abort(); clearTimeout(timer); };
  }, [job.id, finished]);
  return text;
}

/** The tail of the log; it follows unless one has scrolled up to read. */
export function Log({ job }) {
  const text = useLog(job);
  const box = useRef(null);
  const follows = useRef(true);
  useEffect(() => { if (follows.current && box.current) box.current.scrollTop = box.current.scrollHeight; }, [text]);
  const watch = () => { follows.current = box.current.scrollHeight - box.current.scrollTop - box.current.clientHeight < 24; };
  return html`<pre class="log" ref=${box} onScroll=${watch} tabindex="0" role="log" aria-label="The job's log">${text || "Nothing has been written yet."}</pre>`;
}
