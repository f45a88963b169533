// A job's whole past, folded together as its events come: bounded however long the job runs.
import { useEffect, useRef, useState } from "./ui.js";
import { follow } from "./events.js";

const MOST_POINTS = 2000; // of one metric; beyond, every second one is let go
const DRAW_MS = 300;

/** Nothing has happened yet. */
export const begin = () => ({ states: [], metrics: new Map(), progress: null, incumbent: null, checkpoint: null, end: null, seq: 0 });

/** Take one event in. */
export function take(history, { seq, type, data, created_at: at }) {
  history.seq = seq;
  if (type === "state") history.states.push({ ...data, at });
  else if (type === "metric") point(history.metrics, data);
  else if (type === "end") history.end = { ...data, at };
  else if (type in history) history[type] = { ...data, at };
}

function point(metrics, { name, iteration, value }) {
  const kept = metrics.get(name) || { every: 1, seen: 0, points: [], last: null };
  metrics.set(name, kept);
  kept.last = [iteration, value];
  if (kept.seen++ % kept.every === 0) kept.points.push(kept.last);
  if (kept.points.length > MOST_POINTS) {
    kept.every *= 2;
    kept.points = kept.points.filter((_, i) => i % 2 === 0);
  }
}

/** The points of one metric, the newest always among them: [[iteration, value], …]. */
export function pointsOf(history, name) {
  const kept = history.metrics.get(name);
  if (!kept) return [];
  return kept.points.at(-1) === kept.last ? kept.points : [...kept.points, kept.last];
}

/** A job's history in a component: [history, tick, error]; `tick` changes when there is something new to draw. */
export function useHistory(jobId) {
  const history = useRef(begin());
  const [tick, setTick] = useState(0);
  const [error, setError] = useState(null);
  useEffect(() => {
    history.current = begin();
    let drawn = 0;
    const draw = () => {
      if (history.current.seq === drawn) return;
      drawn = history.current.seq;
      setTick((n) => n + 1);
    };
    const timer = setInterval(draw, DRAW_MS);
    const stop = follow(jobId, (event) => { setError(null); take(history.current, event); if (event.type === "end") draw(); }, setError);
    return () => { clearInterval(timer); stop(); };
  }, [jobId]);
  return [history.current, tick, error];
}
