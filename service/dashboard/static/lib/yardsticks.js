// What a learning curve is measured by: the lower bound and the best classical rule of its instance [money/stage].
import { get } from "./api.js";
import { useLoad } from "./load.js";
import { isFinished } from "./work.js";

/** Of a certificate or an evaluation: {bound, boundKind, rule, ruleName}; null where it says neither. */
export function yardsticksOf(document, rules = document?.rules) {
  const best = rules?.[0];
  const bound = document?.bound;
  if (!best && !bound) return null;
  return { bound: bound?.value_per_stage ?? null, boundKind: bound?.kind ?? null, rule: best?.mean_cost_per_stage ?? null, ruleName: best?.name ?? null };
}

/** The job's own certificate once it has one; until then what is known of the instance from earlier work. */
export function useYardsticks(job) {
  const read = async () => (isFinished(job) && (await own(job))) || knownOf(job.instance_id);
  return useLoad(read, [job.id, job.state]).data ?? null;
}

async function own(job) {
  if (!job.policy_id) return null;
  const { certificate } = await get(`/v1/policies/${job.policy_id}`, { quiet: true });
  const found = yardsticksOf(certificate);
  return found && { ...found, from: "the end of this training" };
}

/** What is known of an instance from earlier work; null if nothing is. */
export async function knownOf(instanceId) {
  const evaluated = await get(`/v1/evaluations?instance_id=${instanceId}&limit=5`, { quiet: true });
  for (const { id } of evaluated.items) {
    const { document } = await get(`/v1/evaluations/${id}`, { quiet: true });
    const known = new Set(Object.keys(document.policy_ids || {}));
    const rules = (document.policies || []).filter((entry) => !known.has(entry.name)).sort((a, b) => a.mean_cost - b.mean_cost);
    const found = yardsticksOf(document, rules);
    if (found?.rule) return { ...found, from: "an earlier evaluation of this instance" };
  }
  const trained = await get(`/v1/policies?instance_id=${instanceId}&limit=5`, { quiet: true });
  for (const { id } of trained.items) {
    const found = yardsticksOf((await get(`/v1/policies/${id}`, { quiet: true })).certificate);
    if (found) return { ...found, from: "an earlier training on this instance" };
  }
  return null;
}
