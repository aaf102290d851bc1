// The difference between two trials: from the comparison of their samples by compare.py, else from their intervals.
import { isKnown, rangeText } from "explore/format";

const EXACT = "exact: both are counted, not sampled";
const MOVER = "from the two 95 % intervals (MOVER)";
const SINGLE = "measured once each, without an interval: a difference of noise cannot be told from a real one";

/**
 * `second` minus `first`, each `{value, low, high}`, as a row of compare.py where no raw samples are;
 * null unless both values are known.
 */
export function differenceOf(metric, first, second) {
  if (!isKnown(first.value) || !isKnown(second.value)) return null;
  const difference = second.value - first.value;
  const [one, other] = [endsOf(metric, first), endsOf(metric, second)];
  if (!one || !other) return { difference, low: null, high: null, is_tie: null, better: null, method: SINGLE };
  const low = difference - Math.hypot(other.below, one.above);
  const high = difference + Math.hypot(other.above, one.below);
  const isTie = low <= 0 && high >= 0;
  const better = difference < 0 === (metric.better === "minimize") ? "second" : "first";
  return { difference, low, high, is_tie: isTie, better: isTie ? null : better, method: low === high ? EXACT : MOVER };
}

/** The same row for the pair in the other order. */
export function turned(row) {
  const minus = (number) => (isKnown(number) ? 0 - number : null);
  const better = { first: "second", second: "first" }[row.better] ?? null;
  return { ...row, difference: minus(row.difference), low: minus(row.high), high: minus(row.low), better };
}

/**
 * A function that gives each metric's row for the trials `numbers`, whose places are `rows`. `askPair(first, second)`
 * gives the rows of compare.py for a pair, the smaller number first, or null while they are not known.
 */
export function differencesOf({ view, derived }, numbers, rows, askPair) {
  const isTurned = numbers[0] > numbers[1];
  const [first, second] = isTurned ? [numbers[1], numbers[0]] : numbers;
  const known = new Map((askPair(first, second)?.metrics ?? []).map((row) => [row.name, row]));
  // At other prices the costs are those of this page, not the stored ones.
  if (Object.keys(view.prices).length) known.delete("cost_usd_per_million");
  return (metric) => {
    const found = known.get(metric.name);
    if (found) return isTurned ? turned(found) : found;
    const [one, other] = rows.map((row) => derived.measurement(metric.name, row));
    return differenceOf({ ...metric, better: derived.betterOf(metric.name) }, one, other);
  };
}

/** A row in words, for the trials `numbers`. */
export function verdictText(row, numbers) {
  if (row === null) return "not known for both";
  if (row.is_tie === null) return "cannot be told";
  if (row.is_tie) return hasWidth(row) ? "a tie: it may be chance" : "the same";
  return `trial ${numbers[row.better === "second" ? 1 : 0]} is better`;
}

/** The method of the difference in a word or two. */
export function methodText(row) {
  if (row === null) return "";
  if (row.is_tie === null) return "no interval";
  if (row.method.startsWith("paired")) return "image by image";
  return row.method === MOVER ? "by the intervals" : row.method === EXACT ? "counted" : "";
}

/** The interval of the difference; nothing where there is none or it has no width. */
export const spanText = (metric, row) => (row && hasWidth(row) ? rangeText(metric, row.low, row.high) : "");

const hasWidth = (row) => isKnown(row.low) && isKnown(row.high) && row.low !== row.high;

// How far the interval reaches below and above the value: not at all for a count; null when it was measured once.
function endsOf(metric, { value, low, high }) {
  if (isKnown(low) && isKnown(high)) return { below: value - low, above: high - value };
  return metric.is_counted ? { below: 0, above: 0 } : null;
}
