// The difference between two trials: by Python's comparison of their samples, else by their intervals.
import { differenceOf, turned } from "explore/pair";

/**
 * A function that gives each metric's row for the trials `numbers`, whose places are `rows`. `askPair(first, second)`
 * gives what Python finds for a pair, the smaller number first, or null where nobody can tell, or not yet.
 */
export function judgeOf({ view, derived }, numbers, rows, askPair) {
  const isTurned = numbers[0] > numbers[1];
  const [first, second] = isTurned ? [numbers[1], numbers[0]] : numbers;
  const said = new Map((askPair(first, second)?.metrics ?? []).map((row) => [row.name, row]));
  // At other prices the costs are this page's, not those that were stored.
  if (Object.keys(view.prices).length) said.delete("cost_usd_per_million");
  return (metric) => {
    const found = said.get(metric.name);
    if (found) return isTurned ? turned(found) : found;
    const [one, other] = rows.map((row) => derived.measurement(metric.name, row));
    return differenceOf({ ...metric, better: derived.betterOf(metric.name) }, one, other);
  };
}
