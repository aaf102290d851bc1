// The limits in force: those of the study, replaced by those of the view, by keys such as `latency_ms<=`.
import { isKnown } from "explore/format";

/** The key of a limit `{metric, is_lower_bound}`. */
export const boundKey = (one) => `${one.metric}${one.is_lower_bound ? ">=" : "<="}`;

/** The study's own bound of a key, in the metric's unit; null without one. */
export function studyBound(snapshot, key) {
  const bounds = snapshot.constraints
    .filter((one) => boundKey(one) === key && isKnown(one.bound))
    .map((one) => one.bound);
  if (!bounds.length) return null;
  return key.endsWith(">=") ? Math.max(...bounds) : Math.min(...bounds);
}

/** Every limit, the study's and the view's; a bound that is null holds. */
export function boundsOf(snapshot, view) {
  const keys = new Set([...snapshot.constraints.map(boundKey), ...Object.keys(view.bounds)]);
  return Array.from(keys, (key) => ({
    metric: key.slice(0, -2),
    is_lower_bound: key.endsWith(">="),
    bound: key in view.bounds ? view.bounds[key] : studyBound(snapshot, key),
  }));
}
