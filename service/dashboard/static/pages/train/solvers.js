// Which solver: those that serve the instance, the suggested one first; why the others do not.
import { html } from "../../lib/ui.js";

const breadth = (solver) => solver.problems.filter((p) => p.serves).length;

/** Training solvers that serve, those made for the fewest kinds of problems first: they use what is special to this one. */
function serving(fit, solvers, kind) {
  const byName = new Map(solvers.map((s) => [s.name, s]));
  return fit.solvers.filter((s) => s.kind === kind && s.serves).map((s) => byName.get(s.name)).filter(Boolean).sort((a, b) => breadth(a) - breadth(b));
}

/** The solver to begin with. */
export const suggested = (fit, solvers) => serving(fit, solvers, "train")[0] || serving(fit, solvers, "solve")[0];

/** Radio buttons of every solver that serves the instance, and the others with their reasons. */
export function SolverChoice({ fit, solvers, value, onChange }) {
  const trains = serving(fit, solvers, "train");
  const solves = serving(fit, solvers, "solve");
  const others = fit.solvers.filter((s) => !s.serves);
  const chosenOther = others.find((s) => s.name === value);
  return html`
    <${Options} legend="Find a policy" list=${trains} first=${trains[0]?.name} value=${value} onChange=${onChange} />
    <details open=${solves.some((s) => s.name === value)}><summary>Find a bound or a plan instead (${solves.length})</summary><${Options} legend="Find a bound or a plan" list=${solves} value=${value} onChange=${onChange} /></details>
    ${others.length > 0 && html`<details open=${Boolean(chosenOther)}><summary>Not for this instance, and why (${others.length})</summary>
      <div class="scroll-x" tabindex="0" role="region" aria-label="Solvers that do not fit"><table><thead><tr><th>Solver</th><th>Why not</th><th></th></tr></thead><tbody>${others.map((s) => html`<tr key=${s.name}>
        <td>${s.title}</td><td>${s.reasons.join("; ")}</td>
        <td>${s.configurable && html`<button type="button" class="quiet" onClick=${() => onChange(s.name)}>Set it up differently</button>`}</td></tr>`)}</tbody></table></div></details>`}`;
}

const Options = ({ legend, list, first, value, onChange }) => html`<fieldset class="options"><legend class="hidden">${legend}</legend>
  ${list.map((s) => html`<label key=${s.name} class="option ${value === s.name ? "chosen" : ""}"><input type="radio" name="solver" value=${s.name} checked=${value === s.name} onChange=${() => onChange(s.name)} />
    <span class="stack" style=${{ gap: "2px" }}><span>${s.title}${s.name === first && html` <span class="tag good">suggested</span>`}</span><span class="soft plain">${s.summary}</span>${s.source && html`<span class="soft small plain">${s.source}</span>`}</span></label>`)}</fieldset>`;
