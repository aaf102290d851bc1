// Two variants side by side, with their differences and whether each is significant.
import { byId, fill, h } from "explore/dom";
import { DASH, differenceText, intervalText, isKnown, parameterText, valueText } from "explore/format";
import { differencesOf, methodText, spanText, verdictText } from "explore/difference";

const INVITATION =
  "Select or pin another trial: the two appear side by side, with their difference and whether it is more than chance.";
const EXPLANATION =
  "The difference is the second minus the first; a tie is a difference whose 95 % interval holds 0. Where the " +
  "samples of both are at hand the two are compared image by image, else by their two intervals, as if they were " +
  "independent. Confirmed finalists are compared by their confirmed values. What was measured once, without an " +
  "interval, cannot be told apart.";

/** Draw the pinned pair; `askPair(first, second)` gives what Python finds for it, the smaller number first, or null. */
export function drawComparison(state, pin, askPair) {
  const { view, derived, snapshot } = state;
  const box = byId("compare");
  box.hidden = view.pinned.length === 0;
  if (box.hidden) return;
  const isSecond = view.pinned.length === 1 && view.selected !== null && view.selected !== view.pinned[0];
  const numbers = isSecond ? [view.pinned[0], view.selected] : view.pinned;
  const rows = numbers.map((number) => derived.indexOf(number));
  const title =
    numbers.length === 2 ? `Trial ${numbers[0]} against trial ${numbers[1]}` : `Trial ${numbers[0]} is pinned`;
  const unpin = view.pinned.map((number) =>
    h("button", { type: "button", onclick: () => pin(number) }, `Unpin trial ${number}`),
  );
  const bar = h("div", { class: "bar" }, h("h3", {}, title), h("div", { class: "actions" }, unpin));
  if (numbers.length < 2 || rows.some((row) => row < 0)) {
    fill(box, bar, h("p", { class: "empty" }, INVITATION));
    return;
  }
  const differenceIn = differencesOf(state, numbers, rows, askPair);
  const parameters = snapshot.parameters.map((parameter) => parameterRow(parameter, derived, rows));
  const metrics = snapshot.metrics.map((metric) => metricRow(metric, derived, rows, numbers, differenceIn(metric)));
  const head = ["parameter or metric", `trial ${numbers[0]}`, `trial ${numbers[1]}`, "difference", "verdict"].map(
    (text, place) => h("th", { scope: "col", class: place % 4 ? null : "word" }, text),
  );
  const table = h("table", {}, h("thead", {}, h("tr", {}, head)), h("tbody", {}, parameters, metrics));
  fill(box, bar, h("div", { class: "scroll", tabindex: 0 }, table), h("p", { class: "note" }, EXPLANATION));
}

function parameterRow(parameter, derived, rows) {
  const [one, other] = rows.map((row) => parameterText(parameter, derived.trials.parameters[parameter.name]?.[row]));
  return h(
    "tr",
    {},
    h("th", { scope: "row", class: "word" }, parameter.title),
    h("td", {}, one),
    h("td", {}, other),
    h("td", { class: "quiet" }, one === other ? "the same" : ""),
    h("td", {}),
  );
}

function metricRow(metric, derived, rows, numbers, judged) {
  const cells = rows.map((row) => derived.measurement(metric.name, row));
  if (!cells.some(({ value }) => isKnown(value))) return null;
  const better = judged?.better ? rows[judged.better === "second" ? 1 : 0] : null;
  const cell = ({ value, low, high }, place) =>
    h(
      "td",
      { class: better === rows[place] ? "won" : null },
      valueText(metric, value),
      h("small", {}, intervalText(metric, low, high)),
    );
  const span = spanText(metric, judged);
  const how = methodText(judged);
  return h(
    "tr",
    {},
    h("th", { scope: "row", class: "word" }, metric.title),
    cells.map(cell),
    h("td", {}, judged ? differenceText(metric, judged.difference) : DASH, span ? h("small", {}, span) : null),
    h(
      "td",
      { class: better === null ? "word quiet" : "word", title: judged?.method ?? null },
      judged?.is_tie ? h("span", { class: "tie", "aria-hidden": "true" }, "= ") : null,
      verdictText(judged, numbers),
      how ? h("small", {}, how) : null,
    ),
  );
}
