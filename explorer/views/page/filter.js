// The filter: the rows that match the text, the group and the selected ranges.
import { isKnown } from "explore/format";
import { variantText } from "explore/sentences";

/** The rows that pass filter and brushes as a mask; null when all do. */
export function matchesOf(snapshot, view, derived) {
  const brushes = Object.entries(view.brush);
  const tests = view.filter
    .toLowerCase()
    .split(/\s+/)
    .filter(Boolean)
    .map((word) => testOf(word, snapshot, derived));
  if (!brushes.length && !tests.length && view.show === "all") return null;
  return Uint8Array.from(snapshot.trials.number, (_, index) => {
    const isShown =
      view.show === "all" ||
      (view.show === "feasible" ? derived.isFeasible[index] === 1 : derived.stateOf(index) === view.show);
    const isBrushed = brushes.every(([name, [low, high]]) => {
      const value = derived.columnOf(name)?.[index];
      return isKnown(value) && value >= low && value <= high;
    });
    return isShown && isBrushed && tests.every((test) => test(index)) ? 1 : 0;
  });
}

// `latency<1`: a comparison, in the unit that is shown; anything else: text that the row must have.
function testOf(word, snapshot, derived) {
  const found = /^([^<>=]+)(<=|>=|<|>|=)(-?[\d.]+(?:e-?\d+)?)$/.exec(word);
  if (found) {
    const [, name, sign, text] = found;
    const all = [...derived.metrics.values(), ...derived.parameters.values(), { name: "trial", title: "trial" }];
    const fits = (one) => [one.name, one.title].map((title) => title.toLowerCase().replaceAll(" ", "_"));
    const one =
      all.find((each) => fits(each).includes(name)) ??
      all.find((each) => fits(each).some((title) => title.startsWith(name)));
    const limit = Number(text) / derived.scaleOf(one?.name);
    if (one && !one.ticks && Number.isFinite(limit)) {
      const column = derived.columnOf(one.name);
      const compare = {
        "<=": (a) => a <= limit,
        ">=": (a) => a >= limit,
        "<": (a) => a < limit,
        ">": (a) => a > limit,
        "=": (a) => Math.abs(a - limit) <= 1e-9 * Math.abs(limit),
      }[sign];
      return (index) => isKnown(column[index]) && compare(column[index]);
    }
  }
  return (index) => textOf(snapshot, derived, index).includes(word);
}

const texts = new WeakMap();

function textOf(snapshot, derived, index) {
  if (!texts.has(snapshot)) texts.set(snapshot, []);
  const all = texts.get(snapshot);
  const number = derived.number[index];
  all[index] ??= `trial ${number} ${variantText(derived, index)} ${snapshot.reasons[number] ?? ""}`.toLowerCase();
  return `${all[index]} ${derived.stateOf(index)}`;
}
