// Lookups by the name of a metric or parameter (title, column, range, direction) and by a trial's row (state, gain).
import { gainText, isKnown, labelText, numberText, parameterText } from "explore/format";
import { staircase } from "explore/front";
import { boundKey } from "explore/limits";
import { MAX_KINDS } from "explore/theme";

const WIDE_SPAN = 8;

/** Functions of a metric's or parameter's name, or of a row. */
export function lookups(derived) {
  const { metrics, columns, parameters, objectives, trials } = derived;
  const shownSpans = new Map();
  const stairs = new Map();
  const kinds = new Map();
  const trialAxis = { name: "trial", title: "trial", unit: "", scale: 1, better: "minimize" };
  const metricOf = (name) => metrics.get(name) ?? (name === "trial" ? trialAxis : null);
  const scaleOf = (name) => metricOf(name)?.scale ?? 1;
  const columnOf = (name) => (metricOf(name) ? columns[name].value : (trials.parameters[name] ?? []));
  const betterOf = (name) =>
    objectives.find((one) => one.metric === name)?.direction ?? metricOf(name)?.better ?? "minimize";
  const spanOf = (name) => endsOf(columnOf(name));
  const shownSpanOf = (name) => {
    if (!shownSpans.has(name)) {
      const { low = [], high = [] } = columns[name] ?? {};
      const [values, below, above] = [columnOf(name), low, high].map((column) => feasibleEnds(column, trials.state));
      // An interval may reach down to 0, which has no place on a logarithmic axis.
      const from = below[0] === null || (below[0] <= 0 && values[0] > 0) ? values[0] : Math.min(values[0], below[0]);
      const to = above[1] === null ? values[1] : Math.max(values[1], above[1]);
      shownSpans.set(name, isKnown(from) ? [from * scaleOf(name), to * scaleOf(name)] : [null, null]);
    }
    return shownSpans.get(name);
  };
  return {
    columnOf,
    betterOf,
    metricOf,
    /** `{value, low, high}` of a metric in a row. */
    measurement: (name, row) => {
      const { value, low, high } = columns[name];
      return { value: value[row], low: low[row], high: high[row] };
    },
    scaleOf,
    /** The smallest and largest known value, in the metric's unit. */
    spanOf,
    /**
     * The ends of the intervals, as they are shown, of the trials that satisfy the study's constraints: one that does
     * not may lie far off, and would take the picture from the others. Of all trials where none does.
     */
    shownSpanOf,
    isWide: (name) => {
      const [low, high] = spanOf(name);
      return name !== "trial" && isKnown(low) && low > 0 && high / low > WIDE_SPAN;
    },
    title: (name) => metricOf(name)?.title ?? parameters.get(name)?.title ?? name,
    label: (name) => (metricOf(name) ? labelText(metricOf(name)) : (parameters.get(name)?.title ?? name)),
    shown: (name, value) =>
      metricOf(name)
        ? numberText(metricOf(name), value)
        : parameters.has(name)
          ? parameterText(parameters.get(name), value)
          : String(value),
    wordsOf: (name) => parameters.get(name)?.ticks ?? null,
    /** `{kinds, hasOthers}`: `{value, text}` of its smallest values, and whether a measured trial has none of these. */
    kindsOf: (name) => {
      if (!kinds.has(name)) {
        const column = columnOf(name);
        const found = [...new Set(column.filter(isKnown))].sort((a, b) => a - b).slice(0, MAX_KINDS);
        const parameter = parameters.get(name);
        kinds.set(name, {
          kinds: found.map((value) => ({ value, text: parameter ? parameterText(parameter, value) : String(value) })),
          hasOthers: derived.measured.some((row) => !found.includes(column[row])),
        });
      }
      return kinds.get(name);
    },
    stairs: (x, y) => {
      const key = `${x}|${y}`;
      if (!stairs.has(key))
        stairs.set(key, staircase(columns[x].value, columns[y].value, [betterOf(x), betterOf(y)], derived.isCandidate));
      return stairs.get(key);
    },
    boundOf: (key) => derived.bounds.find((one) => boundKey(one) === key)?.bound ?? null,
    stateOf: (index) => {
      if (trials.state[index] === 2) return "failed";
      if (derived.isInvalid(index)) return "invalid";
      if (derived.isFront[index]) return "front";
      if (derived.isNear(index)) return "near";
      return derived.isFeasible[index] ? "feasible" : "infeasible";
    },
    gain: (name, index) =>
      derived.baseline === null || index === derived.baseline
        ? ""
        : gainText(metrics.get(name), columns[name].value[index], columns[name].value[derived.baseline]),
  };
}

const ends = new WeakMap();
const endsOfFeasible = new WeakMap();

// The smallest and the largest known number of a column; null without one. A column is looked through once.
function endsOf(column) {
  if (!ends.has(column)) ends.set(column, endsWhere(column, () => true));
  return ends.get(column);
}

// The same of the trials that satisfy the study's own constraints; of all where none does.
function feasibleEnds(column, states) {
  if (!endsOfFeasible.has(column)) {
    const isAny = states.includes(0);
    endsOfFeasible.set(column, isAny ? endsWhere(column, (row) => states[row] === 0) : endsOf(column));
  }
  return endsOfFeasible.get(column);
}

function endsWhere(column, isWanted) {
  let [low, high] = [Infinity, -Infinity];
  for (let row = 0; row < column.length; row += 1) {
    const value = column[row];
    if (!isKnown(value) || !isWanted(row)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low > high ? [null, null] : [low, high];
}
