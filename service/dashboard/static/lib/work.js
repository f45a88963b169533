// Jobs in words: what they do, where they stand, how they ended.
import { duration, inSentence, number, percent, words } from "./format.js";

export const UNFINISHED = ["queued", "starting", "running", "finalizing", "cancelling"];
export const FINISHED = ["succeeded", "failed", "cancelled"];
export const isFinished = (job) => FINISHED.includes(job.state);

const KINDS = { train: "Training", evaluate: "Evaluation", solve: "Bound or plan", accept: "Acceptance test", replay: "Replay", reproduce: "Reproduction" };
const PHASES = { training: "Training", rules: "Tuning the classical rules", evaluation: "Simulating on unseen scenarios", bound: "Finding the lower bound" };

/** The kind of a job as planners call it. */
export const kindOf = (kind) => KINDS[kind] || words(kind);

/** A title without what follows its colon: "SDDP: stochastic …" → "SDDP". */
export const short = (title) => title.split(":")[0];

/** A job's name in a list or a title; `title(name)` knows solvers by their titles. */
export const titleOf = (job, title = words) => (job.policy_name ? `${kindOf(job.kind)} ${job.policy_name}` : job.solver ? short(title(job.solver)) : kindOf(job.kind));

/** What a job does at the moment: "Training: 120 of 400 iterations". */
export function doing(progress) {
  if (!progress) return "";
  const phase = PHASES[progress.phase] || words(progress.phase || "working");
  if (progress.phase === "training" && progress.iterations) return `${phase}: ${number(progress.iteration)} of ${number(progress.iterations)} iterations`;
  return phase;
}

/** How far a job is, from 0 to 1; null where it does not know. */
export function fractionOf(job, progress = job.progress) {
  if (job.state === "succeeded") return 1;
  const found = progress && (progress.phase === "training" || progress.fraction < 1 ? progress.fraction : progress.phase_fraction);
  return found === undefined || found === null ? null : found;
}

/** Seconds a job has worked, until now or its end. */
export function elapsed(job, now = Date.now()) {
  if (!job.started_at) return null;
  return (new Date(job.finished_at || now) - new Date(job.started_at)) / 1000;
}

/** Seconds of an ISO-8601 duration. */
export function secondsOf(text) {
  const found = /^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:([\d.]+)S)?)?$/.exec(text || "");
  if (!found) return null;
  const [, days = 0, hours = 0, minutes = 0, seconds = 0] = found;
  return ((Number(days) * 24 + Number(hours)) * 60 + Number(minutes)) * 60 + Number(seconds);
}

/** An ISO-8601 duration as planners say it. */
export const limitOf = (text) => duration(secondsOf(text));

/** A time limit typed in minutes, as the API takes it; what is no number is left for the API to refuse. */
export const limitIn = (minutes) => (Number.isFinite(Number(minutes)) ? `PT${Math.round(60 * Number(minutes))}S` : minutes);

/** Why a job's work ended. */
export const ending = (stoppedBy) => ({ finished: "Ran to its end", time_limit: "Ended by its time limit, with the best found until then", request: "Stopped on request, with the best found until then" })[stoppedBy] || words(stoppedBy || "");

const LOOSE = 1; // gap from which on a bound says next to nothing of what could be saved

/** Why bounds are missing: "perfect_information: time was up" with its method in words. */
export const noteOf = (text) => (text || "").split("; ").map((part) => part.replace(/^([a-z_]+): /, (_, kind) => `${words(kind)}: `)).join("; ");

/** What a certificate says in one sentence; `rule(name)` knows rules by their titles. */
export function verdict(certificate, rule = words) {
  if (!certificate) return "";
  const own = certificate.policy || {};
  const best = certificate.rules?.[0];
  const parts = [`It costs ${number(own.mean_cost_per_stage ?? own.mean_cost)} a stage on ${number(certificate.scenarios)} scenarios that training never saw`];
  if (best) parts.push(comparison(best, rule(best.name)));
  const text = `${parts.join("; ")}.`;
  if (!certificate.bound) return `${text} No lower bound is known, so how far from the optimum it is cannot be said.`;
  if (certificate.gap === null || certificate.gap === undefined) return text;
  if (certificate.bound.exact) return `${text} ${certificate.gap > 0 ? `It lies ${percent(certificate.gap)} above the optimum.` : "No difference from the optimum is seen."}`;
  if (certificate.gap > LOOSE) return `${text} The only lower bound known lies far below and says little.`;
  return `${text} It lies ${percent(Math.max(0, certificate.gap))} above the lower bound: no policy can save more than that.`;
}

function comparison(best, title) {
  const { mean, ci95 } = best.paired_difference || {};
  const name = `the best classical rule (${inSentence(title)}) costs ${number(best.mean_cost_per_stage)}`;
  if (!ci95) return name;
  if (ci95[0] > 0) return `${name}, surely more`;
  if (ci95[1] < 0) return `${name}, surely less`;
  return `${name}: the difference is within chance`;
}
