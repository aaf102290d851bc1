// Rows as CSV and JSON with the columns of `trials.csv`; text that a spreadsheet would run as a formula is escaped.
import { parameterText } from "explore/format";

const STATES = ["complete", "infeasible", "failed", "invalid"];
// Spreadsheets run a text cell that begins with one of these as a formula (OWASP, "CSV injection").
const FORMULA = /^[=+\-@\t\r]/;

/**
 * CSV of these trials: trial, state, feasible, each parameter, each metric, then `<metric>_low`, `<metric>_high`.
 * Numbers have the digits of the page, confirmed ones of confirmed trials; `feasible` and the cost are what the view's
 * limits and prices make of them.
 */
export function toCsv(state, indices) {
  const { snapshot } = state;
  const metrics = snapshot.metrics.map((metric) => metric.name);
  const ends = metrics.flatMap((name) => [`${name}_low`, `${name}_high`]);
  const heading = ["trial", "state", "feasible", ...snapshot.space.map((one) => one.name), ...metrics, ...ends];
  const lines = indices.map((index) => {
    const row = cells(state, index);
    return [
      row.trial,
      row.state,
      row.feasible ? "True" : "False",
      ...Object.values(row.parameters),
      ...metrics.map((name) => row.metrics[name].value),
      ...metrics.flatMap((name) => [row.metrics[name].low, row.metrics[name].high]),
    ];
  });
  return [heading, ...lines].map((line) => line.map(cell).join(",")).join("\n") + "\n";
}

/** The same as JSON: trials with parameters and metrics, and the limits and prices of the view. */
export function toJson(state, indices) {
  const { snapshot, view, derived } = state;
  const trials = indices.map((index) => ({
    ...cells(state, index),
    on_front: Boolean(derived.isFront[index]),
    knee: index === derived.knee,
    ...(derived.confirmation ? standing(derived, index) : {}),
  }));
  const prices = { ...snapshot.prices, ...view.prices };
  return JSON.stringify({ study: snapshot.study.name, limits: derived.bounds, prices, trials }, null, 1);
}

function standing(derived, index) {
  return {
    confirmed: derived.isConfirmed(index),
    probability: derived.probability(index),
    ties: derived.tiesOf(index),
    test_accuracy: derived.testAccuracy(index),
  };
}

function cells({ snapshot, derived }, index) {
  const { trials } = derived;
  const metrics = snapshot.metrics.map(({ name }) => {
    const { value, low, high } = derived.measurement(name, index);
    return [name, { value: value ?? null, low: low ?? null, high: high ?? null }];
  });
  const parameters = snapshot.space.map(({ name, fixed }) => {
    const one = derived.parameters.get(name);
    const value = trials.parameters[name]?.[index] ?? null;
    return [name, one ? (one.ticks && value !== null ? parameterText(one, value) : value) : fixed];
  });
  return {
    trial: trials.number[index],
    state: STATES[trials.state[index]],
    feasible: Boolean(derived.isFeasible[index]),
    parameters: Object.fromEntries(parameters),
    metrics: Object.fromEntries(metrics),
  };
}

function cell(value) {
  if (value === null) return "";
  if (typeof value === "number") return String(value);
  const text = FORMULA.test(value) ? `'${value}` : String(value);
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
