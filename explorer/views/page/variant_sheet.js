// The sheet of one variant: its parameters, metrics, measurement, and the command that exports it.
import { differencesOf } from "explore/difference";
import { byId, copy, h, say } from "explore/dom";
import { DASH, intervalText, isKnown, parameterText, thousands, valueText } from "explore/format";
import { parts } from "explore/parts";

const NOT_HERE =
  "This file holds the details of the front and of as many other trials as fit; `explore show` prints this one whole.";

/**
 * The selected trial as elements; `found` has its `detail`, or why there is none, or that it is waited for. `exports`
 * is the button that exports it, or null; `askPair` as for explore/difference.
 */
export function variantSheet(state, index, found, exports, askPair) {
  const { derived, view } = state;
  const { detail } = found;
  const place = derived.placeText(index, view.x, view.y);
  const left = [h("h3", {}, "Metrics"), metricsTable(state, index, detail, askPair)];
  const right = [h("h3", {}, "Variant"), parameterFacts(state, index, detail)];
  if (found.isWaiting) right.push(h("p", { class: "note" }, "Its details are being read …"));
  else if (found.why) right.push(h("p", { class: "note", role: "alert" }, found.why));
  else if (!detail) right.push(h("p", { class: "note" }, NOT_HERE));
  else right.push(...parts(detail));
  return [
    detail?.invalid.length
      ? h("p", { class: "banner", role: "alert" }, `Not valid: ${detail.invalid.join("; ")}.`)
      : null,
    place.length ? h("p", { class: "place" }, sentence(place)) : null,
    detail?.command ? command(commandOf(detail, derived.isFront[index]), exports?.button(state)) : null,
    detail?.command ? exports?.said(state) : null,
    h("div", { class: "variant-grid" }, h("div", {}, left), h("div", {}, right)),
    detail?.measurement.length ? h("div", { class: "variant-grid" }, detail.measurement.map(measurementPart)) : null,
    detail ? facts(detail) : null,
  ];
}

const measurementPart = ({ title, lines }) =>
  h("div", {}, h("h3", {}, `${title[0].toUpperCase()}${title.slice(1)}`), pairsList(lines));

const sentence = (notes) => {
  const text = notes.join("; ");
  return `${text[0].toUpperCase()}${text.slice(1)}.`;
};

// Dominated and infeasible trials are exported only with --force.
const commandOf = ({ command }, isOnFront) => (isOnFront ? command : `${command} --force`);

function command(text, exporting) {
  const button = h("button", { type: "button", class: "main" }, "Copy");
  button.addEventListener("click", async () => {
    const isDone = await copy(text);
    say(button, isDone ? "Copied" : "Select and copy");
    say(byId("said"), isDone ? "The command is copied." : "This browser does not let pages copy.");
    setTimeout(() => say(button, "Copy"), 1600);
  });
  return h("p", { class: "command" }, h("code", { id: "export-command" }, text), button, exporting);
}

function metricsTable(state, index, detail, askPair) {
  const { snapshot, derived } = state;
  const more = new Map((detail?.metrics ?? []).map((one) => [one.name, one]));
  const { baseline } = derived;
  const isApart = baseline !== null && index !== baseline;
  const places = [baseline, index];
  const differenceIn = isApart ? differencesOf(state, places.map((row) => derived.number[row]), places, askPair) : null;
  const rows = snapshot.metrics.flatMap((metric) => {
    const row = metricRow(metric, derived, index, more.get(metric.name), differenceIn);
    return metric.name === derived.quality ? [row, testRow(metric, derived, index)] : [row];
  });
  const head = h(
    "tr",
    {},
    h("th", { scope: "col", class: "word" }, "metric"),
    ...headings(derived.isConfirmed(index) ? ["confirmed", "search"] : ["value"]),
    h("th", { scope: "col" }, "against the", h("small", {}, "baseline")),
    h("th", { scope: "col", class: "count" }, "n"),
  );
  const kind = derived.isConfirmed(index) ? "metrics dense" : "metrics";
  const body = h("tbody", {}, rows.filter(Boolean));
  const table = h("table", { class: kind }, h("thead", {}, head), body);
  return h("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": "Metrics of this trial" }, table);
}

function metricRow(metric, derived, index, said, differenceIn) {
  const found = derived.measurement(metric.name, index);
  const name = h("th", { scope: "row", class: "word" }, metric.title);
  if (!isKnown(found.value)) {
    const why = said?.why ? `not known: ${said.why}` : "not known";
    const colspan = derived.isConfirmed(index) ? 4 : 3;
    return h("tr", {}, name, h("td", { colspan, class: "word quiet wrapped" }, why));
  }
  return h(
    "tr",
    {},
    name,
    valueCell(metric, found),
    derived.isConfirmed(index) ? valueCell(metric, derived.searched(metric.name, index) ?? {}, "quiet") : null,
    h("td", {}, differenceIn ? gainOf(metric, derived, index, differenceIn(metric)) : DASH),
    h("td", { class: "quiet count" }, isKnown(said?.n) ? thousands(said.n) : ""),
  );
}

const headings = (texts) =>
  texts.map((text) => h("th", { scope: "col" }, text, h("small", {}, "95 % interval")));

const valueCell = (metric, { value, low, high }, kind = null) =>
  h("td", { class: kind }, valueText(metric, value), h("small", {}, intervalText(metric, low, high)));

// The quality on the test split, which chose nothing.
function testRow(metric, derived, index) {
  const test = derived.testAccuracy(index);
  if (!test) return null;
  const rest = h("td", { colspan: derived.isConfirmed(index) ? 3 : 2, class: "word quiet" }, "chose nothing");
  return h("tr", {}, h("th", { scope: "row", class: "word" }, `test ${metric.title}`), valueCell(metric, test), rest);
}

// Against the baseline: colored only where the difference is more than chance.
function gainOf(metric, derived, index, row) {
  const kind = { second: "better", first: "worse" }[row?.better] ?? "";
  const note = row?.is_tie && row.low !== row.high ? "a tie" : "";
  const text = h("span", { class: `gain ${kind}` }, derived.gain(metric.name, index) || DASH);
  return note ? [text, h("small", {}, note)] : text;
}

function parameterFacts({ snapshot, derived }, index, detail) {
  const pairs = detail
    ? detail.parameters.map((one) => [one.title, one.text])
    : snapshot.parameters.map((one) => [one.title, parameterText(one, derived.trials.parameters[one.name]?.[index])]);
  return pairsList(pairs);
}

const pairsList = (pairs) =>
  h(
    "dl",
    { class: "facts" },
    pairs.map(([name, text]) => h("div", {}, h("dt", {}, name), h("dd", {}, text))),
  );

function facts(detail) {
  const made = [
    ["artifact", detail.artifact ?? DASH],
    ["finished", new Date(1000 * detail.finished).toLocaleString()],
    ...detail.violations.map((one) => [one.text, one.words]),
  ];
  const pairs = [
    ...made,
    ...detail.details.map((one) => [one.name, one.text]),
    ...detail.provenance.map((one) => [one.name, one.text]),
  ];
  return h(
    "details",
    { class: "provenance" },
    h("summary", {}, "Provenance and details of this trial"),
    pairsList(pairs),
  );
}
