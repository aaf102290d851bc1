// The knee, as in explorer/pareto/front.py, and the trials that the recommendation names.
import { ends, isBefore, minimized, rowsOf } from "explore/columns";

// As in explorer/pareto/front.py: smaller differences on the normalized front are rounding and not a preference.
const KNEE_SCALE = 1e9;
// One point of a quality metric that is a ratio.
const TOLERATED_LOSS = 0.01;
const FAILED = 2;

/**
 * The row of the knee of the front `front` (a mask), null for an empty one: with the front between ideal (0) and nadir
 * (1) the smallest mean, then the smallest worst objective, then the better first, second, ... one, then the earlier.
 */
export function kneeRow(columns, directions, front) {
  const rows = rowsOf(front);
  const normalized = columns.map((column, k) => unitColumn(minimized(column, directions[k]), rows));
  const scores = [new Float64Array(rows.length), new Float64Array(rows.length).fill(-Infinity), ...normalized];
  for (let place = 0; place < rows.length; place += 1) {
    let sum = 0;
    for (const column of normalized) {
      sum += column[place];
      scores[1][place] = Math.max(scores[1][place], column[place]);
    }
    scores[0][place] = nineDecimals(sum / normalized.length);
  }
  let best = -1;
  for (let place = 0; place < rows.length; place += 1) if (best < 0 || isBefore(scores, place, best)) best = place;
  return best < 0 ? null : rows[best];
}

/**
 * Which trials the recommendation names: `knee`, and `nearly`, the fastest within one point of the baseline's
 * `quality`, the main quality metric; rows, null where there is none. Both are of `eligible`, the front or the likely
 * part of it (a mask). `baseline` is the baseline's row, null without one.
 */
export function recommendation(values, quality, objectives, numbers, eligible, baseline) {
  const directions = objectives.map((objective) => objective.direction);
  const columns = objectives.map((objective) => values[objective.metric]);
  const knee = kneeRow(columns, directions, eligible);
  const speed = objectives.find((objective) => objective.metric.startsWith("latency"));
  const isJudged = objectives.some((objective) => objective.metric === quality);
  const least = baseline === null || !values[quality] ? null : values[quality][baseline];
  if (!speed || !isJudged || least === null) return { knee, nearly: null };
  const order = [values[speed.metric], minimized(columns[0], directions[0]), numbers];
  let nearly = null;
  for (const row of rowsOf(eligible)) {
    const isNear = values[quality][row] >= least - TOLERATED_LOSS;
    if (isNear && (nearly === null || isBefore(order, row, nearly))) nearly = row;
  }
  return { knee, nearly };
}

/** The row of the baseline, trial 0, when it has a result; else null. */
export function baselineRow(trials) {
  const row = trials.number.indexOf(0);
  return row < 0 || trials.state[row] === FAILED ? null : row;
}

// The rows' values between their smallest (0) and their largest (1); a constant column is 0.
function unitColumn(column, rows) {
  const [low, high] = ends(column, rows);
  return Float64Array.from(rows, (row) => (high > low ? nineDecimals((column[row] - low) / (high - low)) : 0));
}

// NumPy's rounding: halves go to the even neighbor.
function nineDecimals(value) {
  const scaled = value * KNEE_SCALE;
  const below = Math.floor(scaled);
  const rest = scaled - below;
  return (rest < 0.5 || (rest === 0.5 && below % 2 === 0) ? below : below + 1) / KNEE_SCALE;
}
