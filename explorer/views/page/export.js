// Rows as CSV and JSON, with the columns of `trials.csv` but for fixed parameters; text that a spreadsheet would run is disarmed.
import { parameterText } from "explore/format";

// A cell of text that begins so is run as a formula by spreadsheets (OWASP, "CSV injection").
const FORMULA = /^[=+\-@\t\r]/;

/** CSV of these trials: trial, state, feasible, each parameter, each metric, then `<metric>_low`, `<metric>_high`. */
export function toCsv(state, indices) {
  const { snapshot } = state;
  const metrics = snapshot.metrics.map((metric) => metric.name);
  const ends = metrics.flatMap((name) => [`${name}_low`, `${name}_high`]);
  const heading = ["trial", "state", "feasible", ...snapshot.parameters.map((one) => one.name), ...metrics, ...ends];
  const lines = indices.map((index) => {
    const row = cells(state, index);
    return [row.trial, row.state, row.feasible ? "True" : "False", ...Object.values(row.parameters), ...metrics.map((name) => row.metrics[name].value),
      ...metrics.flatMap((name) => [row.metrics[name].low, row.metrics[name].high])];
  });
  return [heading, ...lines].map((line) => line.map(cell).join(",")).join("\n") + "\n";
}

/** The same as JSON: a list of trials with their parameters and metrics, and the limits and prices that were asked. */
export function toJson(state, indices) {
  const { snapshot, view, derived } = state;
  const trials = indices.map((index) => ({ ...cells(state, index), on_front: Boolean(derived.isFront[index]), knee: index === derived.knee }));
  return JSON.stringify({ study: snapshot.study.name, limits: derived.bounds, prices: { ...snapshot.prices, ...view.prices }, trials }, null, 1);
}

function cells(state, index) {
  const { snapshot, derived } = state;
  const { trials } = derived;
  const values = ([name]) => derived.columns[name];
  const metrics = snapshot.metrics.map((metric) => [metric.name]).map((key) => [
    key[0], { value: values(key).value[index], low: values(key).low[index] ?? null, high: values(key).high[index] ?? null },
  ]);
  const parameters = snapshot.parameters.map((one) => {
    const value = trials.parameters[one.name]?.[index];
    return [one.name, one.ticks || value === undefined ? parameterText(one, value) : value];
  });
  return {
    trial: trials.number[index], state: ["complete", "infeasible", "failed"][trials.state[index]],
    feasible: Boolean(derived.isFeasible[index]), parameters: Object.fromEntries(parameters), metrics: Object.fromEntries(metrics),
  };
}

function cell(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return String(value);
  const text = FORMULA.test(value) ? `'${value}` : String(value);
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
