// The study: how its hypervolume grew, what each parameter decides, and what failed and why.
import { byId, fill, h, say } from "explore/dom";
import { countText, isKnown } from "explore/format";
import { drawHistory, historyOf } from "explore/history";
import { drawShares } from "explore/shares";
import { palette } from "explore/theme";

const STATES = ["complete", "infeasible", "failed", "invalid"];
const MAX_FAILURES = 200;

/** The section; `draw(state)` brings it up to date. */
export function makeStudy(onSelect) {
  let last = {};
  let history = null;
  return {
    draw(state) {
      if (last.snapshot !== state.snapshot || last.insights !== state.insights) history = historyOf(state);
      last = state;
      drawHistory(history, palette(state.view.theme));
      drawShares(state);
      drawTrust(state);
      drawFailures(state, onSelect);
    },
  };
}

// What the trials carry beyond their measurements, in numbers; the picture and each trial show it one by one.
function drawTrust({ derived }) {
  const { validity, membership, confirmed } = derived.trials;
  const count = (column, holds) => (column ? column.filter(holds).length : null);
  const parts = [
    [count(validity, (word) => word && word !== "valid"), "measurement", "not valid"],
    [count(membership, isKnown), "trial", "with a probability to be on the front"],
    [count(confirmed, Boolean), "trial", "confirmed by measuring again"],
  ].filter(([n]) => n !== null);
  byId("trust-empty").hidden = parts.length > 0;
  byId("trust").hidden = parts.length === 0;
  say(byId("trust"), parts.map(([n, word, what]) => `${countText(n, word)} ${what}`).join("; "));
}

function drawFailures({ snapshot, derived }, onSelect) {
  const { trials } = derived;
  const found = derived.number
    .map((number, index) => ({ number, index }))
    .filter(({ index }) => trials.state[index] !== 0);
  const groups = new Map();
  for (const { number, index } of found) {
    const reason = snapshot.reasons[number] ?? "no reason was given";
    const key = `${trials.state[index]}|${trials.state[index] === 1 ? reason.replace(/[\d.,]+/g, "#") : reason}`;
    if (!groups.has(key)) groups.set(key, { state: STATES[trials.state[index]], reason, numbers: [] });
    groups.get(key).numbers.push(number);
  }
  byId("failures-empty").hidden = groups.size > 0;
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
