// The study: the history of its hypervolume, the importance of parameters, failures and their reasons.
import { byId, fill, h, say } from "explore/dom";
import { countText, thousands } from "explore/format";
import { drawHistory, historyOf } from "explore/history";
import { drawImportance } from "explore/importance";
import { drawStability } from "explore/machine_stability";
import { palette } from "explore/theme";

const STATES = ["complete", "infeasible", "failed", "invalid"];
const MAX_FAILURES = 200;
const NONE_FAILED = "None so far. A trial that fails or breaks a limit of the study appears here with the reason.";

/** The section; `draw(state)` brings it up to date. */
export function makeStudy(onSelect) {
  let last = {};
  let history = null;
  return {
    draw(state) {
      if (last.snapshot !== state.snapshot || last.insights !== state.insights) history = historyOf(state);
      last = state;
      drawHistory(history, palette(state.view.theme));
      drawStability(state, palette(state.view.theme), onSelect);
      drawImportance(state);
      drawTrust(state);
      drawFailures(state, onSelect);
    },
  };
}

// The results of the confirmation in numbers.
function drawTrust({ snapshot, derived }) {
  const { confirmation, counts } = derived;
  byId("trust-empty").hidden = confirmation !== null;
  byId("trust").hidden = confirmation === null;
  if (!confirmation) {
    const again = "`explore confirm` measures the finalists again, and says how probably each belongs to the front.";
    const stale = "The confirmation is older than some trials. ";
    return say(byId("trust-empty"), `${snapshot.confirmation?.is_stale ? stale : "Not confirmed yet. "}${again}`);
  }
  const sure = derived.front.map(derived.probability).filter((share) => share !== null);
  const n = (holds) => sure.filter(holds).length;
  const sentences = [
    `The finalists were measured again in ${countText(confirmation.n_rounds, "round")}, each in fresh processes.`,
    `Of ${countText(sure.length, "member")} of the front ${n((one) => one >= 0.95)} are on it with at least 95 %, ` +
      `${n((one) => one < 0.5)} with less than 50 %.`,
    confirmation.near.length ? `Near it: trial ${confirmation.near.join(", ")}.` : "",
    Object.keys(confirmation.ties).length
      ? `${countText(derived.tiePairs().length, "pair")} of trials cannot be told apart.`
      : "",
    confirmation.left_out.length
      ? `${countText(confirmation.left_out.length, "more trial")} may belong to it, and were too many to measure again.`
      : "",
    ...Object.entries(confirmation.why).map(([trial, why]) => `Trial ${trial} is not confirmed: ${why}.`),
    counts.invalid ? `${countText(counts.invalid, "trial")} without a valid measurement.` : "",
  ];
  return say(byId("trust"), sentences.filter(Boolean).join(" "));
}

function drawFailures({ snapshot, derived, matches }, onSelect) {
  const { trials } = derived;
  const all = derived.number
    .map((number, index) => ({ number, index }))
    .filter(({ index }) => trials.state[index] !== 0);
  const found = matches ? all.filter(({ index }) => matches[index]) : all;
  const groups = new Map();
  for (const { number, index } of found) {
    const reason = snapshot.reasons[number] ?? "no reason was given";
    const key = `${trials.state[index]}|${trials.state[index] === 1 ? reason.replace(/[\d.,]+/g, "#") : reason}`;
    if (!groups.has(key)) groups.set(key, { state: STATES[trials.state[index]], reason, numbers: [] });
    groups.get(key).numbers.push(number);
  }
  byId("failures-empty").hidden = groups.size > 0;
  say(byId("failures-empty"), all.length ? `None of the ${thousands(all.length)} passes the filter.` : NONE_FAILED);
  const kinds = [...groups.values()].sort((a, b) =>
    a.state === b.state ? b.numbers.length - a.numbers.length : a.state === "failed" ? -1 : 1,
  );
  const buttons = (numbers) =>
    numbers
      .slice(0, 12)
      .map((number) => h("button", { type: "button", class: "link", onclick: () => onSelect(number) }, String(number)));
  fill(
    byId("failures"),
    kinds
      .slice(0, MAX_FAILURES)
      .map((kind) =>
        h(
          "li",
          {},
          h("span", { class: `state ${kind.state}` }, kind.state),
          h(
            "span",
            { class: "reason" },
            kind.reason,
            kind.state === "infeasible" && kind.numbers.length > 1 ? " (and alike)" : "",
          ),
          h(
            "span",
            { class: "quiet" },
            kind.numbers.length === 1 ? "trial " : `${countText(kind.numbers.length, "trial")}: `,
            buttons(kind.numbers),
            kind.numbers.length > 12 ? ` and ${kind.numbers.length - 12} more` : "",
          ),
        ),
      ),
  );
}
