// The mathematics that must follow a slider: cost, feasibility, front, knee, hypervolume, recommendation.
//
// Pure functions over the snapshot's plain columns (numbers or null), without imports. Each gives what Python gives:
// explorer/measure/cost.py, explorer/pareto/ and explorer/views/sentences.py; tests/views/test_front_js.py compares.
// A mask is a Uint8Array with 1 for the rows that are meant; a row is a trial's place in the columns.

const S_PER_HOUR = 3600;
const COST = "cost_usd_per_million";
// Failed trials have no result, whatever was measured before they failed.
const FAILED = 2;
// As in explorer/pareto/knee.py: smaller differences on the normalized front are rounding and not a preference.
const KNEE_SCALE = 1e9;
// As in explorer/views/sentences.py: one point of accuracy.
const TOLERATED_LOSS = 0.01;
// Fronts of four and more objectives that are longer than this are found with sets of bits.
const MAX_COMPARED = 1000;
// As in explorer/pareto/hypervolume.py.
const WORSE_THAN_BASELINE = 1.1;

/**
 * The columns of the cost at these prices: value, and the ends that the mean latency's interval implies. Without the
 * metrics that it is made of, the cost is what was stored.
 */
export function costOf(trials, prices) {
  const mean = trials.metrics.latency_mean_ms;
  const memory = trials.metrics.peak_memory_mib;
  const n = trials.number.length;
  const cost = { value: new Array(n).fill(null), low: new Array(n).fill(null), high: new Array(n).fill(null) };
  if (!mean || !memory) return trials.metrics[COST] ?? cost;
  const hardware = prices.hardware_usd_per_hour / S_PER_HOUR;
  for (let row = 0; row < n; row += 1) {
    if (mean.value[row] === null || memory.value[row] === null) continue;
    const memoryUsd = ((prices.memory_usd_per_gib_hour / S_PER_HOUR) * memory.value[row]) / 1024;
    const usdPerS = 1e6 * (hardware + memoryUsd);
    for (const end of ["value", "low", "high"]) {
      const latency = mean[end][row];
      if (latency !== null) {
        cost[end][row] = usdPerS * (latency / 1000 / trials.batch_size[row]) + prices.other_usd_per_million;
      }
    }
  }
  return cost;
}

/** The reference point at other prices: that of a minimized cost follows the baseline's (`cost`, null: not known). */
export function repricedReference(reference, objectives, cost) {
  const isPriced = objectives.some((objective) => objective.metric === COST && objective.direction === "minimize");
  if (!reference || !isPriced || cost === null) return reference;
  return { ...reference, [COST]: WORSE_THAN_BASELINE * cost };
}

/**
 * The rows that may be on the front: not failed, knowing every objective, and within every constraint
 * (`{metric, is_lower_bound, bound}`; a bound that is null holds). `values` maps a metric to its column of values.
 */
export function candidateMask(state, values, objectives, constraints) {
  const mask = Uint8Array.from(state, (one) => (one === FAILED ? 0 : 1));
  for (const { metric } of objectives) keep(mask, values[metric], (value) => value !== null);
  for (const { metric, is_lower_bound: isLower, bound } of constraints) {
    if (bound === null || bound === undefined) continue;
    keep(mask, values[metric], (value) => value !== null && (isLower ? bound - value <= 0 : value - bound <= 0));
  }
  return mask;
}

/** The rows of `mask` that no other of its rows dominates, as a mask; ties and duplicates of a front are on it. */
export function frontMask(columns, directions, mask) {
  const turned = columns.map((column, k) => minimized(column, directions[k]));
  const front = new Uint8Array(mask.length);
  const rows = sorted(turned, survivors(turned, rowsOf(mask)));
  const isNew = { 1: newInOne, 2: newInTwo, 3: newInThree }[turned.length] ?? newInMany;
  const isUndominated = isNew(turned, rows);
  let before = -1;
  for (const row of rows) {
    // A row that is sorted later never dominates an earlier one, and equal rows are neighbors.
    const isTwin = before >= 0 && turned.every((column) => column[row] === column[before]);
    front[row] = isTwin ? front[before] : isUndominated(row) ? 1 : 0;
    before = row;
  }
  return front;
}

/** The rows, from left to right, that no row of `mask` beats in x and y alone: the step line of the two. */
export function staircase(x, y, directions, mask) {
  const isKnown = Uint8Array.from(mask, (one, row) => (one && x[row] !== null && y[row] !== null ? 1 : 0));
  const rows = rowsOf(frontMask([x, y], directions, isKnown));
  return Array.from(rows).sort((a, b) => x[a] - x[b] || y[a] - y[b] || a - b);
}

/** The rows of a front that are on it only through an objective other than x and y. */
export function hiddenRows(front, stairs) {
  const shown = new Set(stairs);
  return Array.from(rowsOf(front)).filter((row) => !shown.has(row));
}

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

/** The volume that the rows of `mask` dominate within `reference`; null for more than three objectives. */
export function hypervolume(columns, directions, reference, mask) {
  const corner = reference.map((value, k) => (directions[k] === "maximize" ? -value : value));
  const turned = columns.map((column, k) => minimized(column, directions[k]));
  const inside = Array.from(rowsOf(mask)).filter((row) => turned.every((column, k) => column[row] < corner[k]));
  return volumeOf(inside.map((row) => turned.map((column) => column[row])), corner);
}

/** The volume after each row, in the rows' order; rows outside of `mask` add nothing. null as `hypervolume`. */
export function hypervolumeHistory(columns, directions, reference, mask) {
  if (columns.length > 3) return null;
  const corner = reference.map((value, k) => (directions[k] === "maximize" ? -value : value));
  const turned = columns.map((column, k) => minimized(column, directions[k]));
  const history = new Array(mask.length);
  const stairs = new Stairs();
  let front = [];
  let volume = 0;
  for (let row = 0; row < mask.length; row += 1) {
    const isInside = mask[row] && turned.every((column, k) => column[row] < corner[k]);
    if (isInside && turned.length === 2) {
      stairs.add(turned[0][row], turned[1][row], corner, (gained) => { volume += gained; });
    } else if (isInside) {
      const point = turned.map((column) => column[row]);
      if (!front.some((other) => other.every((value, k) => value <= point[k]))) {
        front = front.filter((other) => !point.every((value, k) => value <= other[k]));
        front.push(point);
        // The volume never falls; adding it up anew may round it down by a last digit.
        volume = Math.max(volume, volumeOf(front, corner));
      }
    }
    history[row] = volume;
  }
  return history;
}

/** The volume of the box between reference and ideal point, which makes a volume a share; 0 for a flat box. */
export function boxVolume(ideal, directions, reference) {
  const sides = ideal.map((value, k) => (directions[k] === "maximize" ? value - reference[k] : reference[k] - value));
  return sides.every((side) => side > 0) ? sides.reduce((one, other) => one * other, 1) : 0;
}

/**
 * Which trials the recommendation names: `knee`, and `nearly`, the fastest of the front within one point of the
 * baseline's accuracy; rows, null where there is none. `baseline` is the baseline's row, null without one.
 */
export function recommendation(values, objectives, numbers, front, baseline) {
  const directions = objectives.map((objective) => objective.direction);
  const columns = objectives.map((objective) => values[objective.metric]);
  const knee = kneeRow(columns, directions, front);
  const speed = objectives.find((objective) => objective.metric.startsWith("latency"));
  const isJudged = objectives.some((objective) => objective.metric === "accuracy");
  const accuracy = baseline === null || !values.accuracy ? null : values.accuracy[baseline];
  if (!speed || !isJudged || accuracy === null) return { knee, nearly: null };
  const order = [values[speed.metric], minimized(columns[0], directions[0]), numbers];
  let nearly = null;
  for (const row of rowsOf(front)) {
    const isNear = values.accuracy[row] >= accuracy - TOLERATED_LOSS;
    if (isNear && (nearly === null || isBefore(order, row, nearly))) nearly = row;
  }
  return { knee, nearly };
}

/** The row of the baseline, trial 0, when it has a result; else null. */
export function baselineRow(trials) {
  const row = trials.number.indexOf(0);
  return row < 0 || trials.state[row] === FAILED ? null : row;
}

function keep(mask, column, holds) {
  for (let row = 0; row < mask.length; row += 1) if (mask[row] && !(column && holds(column[row]))) mask[row] = 0;
}

function rowsOf(mask) {
  const rows = new Int32Array(mask.length);
  let n = 0;
  for (let row = 0; row < mask.length; row += 1) if (mask[row]) rows[n++] = row;
  return rows.subarray(0, n);
}

// Smaller is better; null becomes NaN, which masks keep out.
function minimized(column, direction) {
  const sign = direction === "maximize" ? -1 : 1;
  const turned = new Float64Array(column.length);
  for (let row = 0; row < turned.length; row += 1) turned[row] = column[row] === null ? NaN : sign * column[row];
  return turned;
}

// Without the rows that a few strong ones dominate: sorting what is left is most of the work.
function survivors(turned, rows) {
  const spans = turned.map((column) => {
    const [low, high] = ends(column, rows);
    return [low, high > low ? 1 / (high - low) : 0];
  });
  const weights = [turned.map(() => 1), ...turned.map((_, k) => turned.map((__, other) => (other === k ? 4 : 1)))];
  for (const weight of weights) {
    const strong = strongest(turned, rows, spans, weight);
    rows = rows.filter((row) => !dominates(turned, strong, row));
  }
  return rows;
}

function strongest(turned, rows, spans, weight) {
  let [best, least] = [-1, Infinity];
  for (const row of rows) {
    let sum = 0;
    for (let k = 0; k < turned.length; k += 1) sum += weight[k] * (turned[k][row] - spans[k][0]) * spans[k][1];
    if (sum < least || best < 0) [best, least] = [row, sum];
  }
  return best;
}

function dominates(turned, one, other) {
  let isBetter = false;
  for (const column of turned) {
    if (column[one] > column[other]) return false;
    isBetter ||= column[one] < column[other];
  }
  return isBetter;
}

// By the first objective, then the second, ...
function sorted(turned, rows) {
  return rows.sort((a, b) => {
    for (const column of turned) if (column[a] !== column[b]) return column[a] < column[b] ? -1 : 1;
    return a - b;
  });
}

// The following give, for rows in sorted order, whether a row is dominated by none before it (twins aside).

function newInOne() {
  let isFirst = true;
  return () => {
    const isNew = isFirst;
    isFirst = false;
    return isNew;
  };
}

function newInTwo([, second]) {
  let least = Infinity;
  return (row) => {
    if (second[row] >= least) return false;
    least = second[row];
    return true;
  };
}

function newInThree([, second, third]) {
  const stairs = new Stairs();
  return (row) => stairs.add(second[row], third[row]);
}

// For four and more a row is compared with the front so far, and where that is long with sets of bits.
function newInMany(turned, rows) {
  const found = [];
  let isInSets = null;
  return (row) => {
    for (let place = 0; place < found.length; place += 1) {
      if (isAsGood(turned, found[place], row)) {
        // What dominates one row dominates the next ones: it is asked earlier.
        [found[place], found[place >> 1]] = [found[place >> 1], found[place]];
        return false;
      }
    }
    if (found.length < MAX_COMPARED) return found.push(row) > 0;
    isInSets ??= dominatedInSets(turned, rows);
    return !isInSets(row);
  };
}

function isAsGood(turned, one, other) {
  for (const column of turned) if (column[one] > column[other]) return false;
  return true;
}

// The rows that are at least as good in one objective as a set of bits, the sets intersected. The work has a bound, one
// word for 32 rows, whatever the points are.
function dominatedInSets(turned, rows) {
  const places = new Int32Array(turned[0].length);
  rows.forEach((row, place) => { places[row] = place; });
  const sets = turned.slice(1).map((column) => new LowerSets(Float64Array.from(rows, (row) => column[row])));
  return (row) => {
    const place = places[row];
    for (const set of sets) set.open(place);
    const isDominated = haveCommonPlace(sets, place);
    for (const set of sets) set.close();
    return isDominated;
  };
}

// Whether a place before `end` is in all of the sets that are open.
function haveCommonPlace(sets, end) {
  const last = end >> 5;
  for (let word = 0; word <= last; word += 1) {
    let common = word === last ? (1 << (end & 31)) - 1 : -1;
    for (const set of sets) common &= set.stored[word] | set.extra[word];
    if (common) return true;
  }
  return false;
}

// For any place, the set of places whose value is not larger: stored at every BLOCK-th place by value, else completed.
class LowerSets {
  static BLOCK = 256;

  constructor(values) {
    const n = values.length;
    const { BLOCK } = LowerSets;
    this.order = Int32Array.from(values.keys()).sort((a, b) => values[a] - values[b]);
    this.counts = new Int32Array(n);
    for (let rank = n - 1, count = n; rank >= 0; rank -= 1) {
      if (rank < n - 1 && values[this.order[rank]] < values[this.order[rank + 1]]) count = rank + 1;
      this.counts[this.order[rank]] = count;
    }
    const set = new Int32Array((n >> 5) + 1);
    this.extra = new Int32Array(set.length);
    this.blocks = [set.slice()];
    for (let rank = 0; rank < n; rank += 1) {
      add(set, this.order[rank]);
      if ((rank + 1) % BLOCK === 0) this.blocks.push(set.slice());
    }
  }

  open(place) {
    const count = this.counts[place];
    const block = Math.floor(count / LowerSets.BLOCK);
    this.stored = this.blocks[block];
    this.added = this.order.subarray(block * LowerSets.BLOCK, count);
    for (const other of this.added) add(this.extra, other);
  }

  close() {
    for (const other of this.added) this.extra[other >> 5] = 0;
  }
}

function add(set, place) {
  set[place >> 5] |= 1 << (place & 31);
}

// The step line of points of which none is at least as good as another: x rises and y falls.
class Stairs {
  constructor() {
    this.x = [];
    this.y = [];
  }

  /** Add a point unless another is at least as good; `gain` hears of the area that is new, up to `corner`. */
  add(x, y, corner = null, gain = null) {
    let start = this.placeOf(x);
    if (start > 0 && this.y[start - 1] <= y) return false;
    if (start < this.x.length && this.x[start] === x && this.y[start] <= y) return false;
    let stop = start;
    while (stop < this.y.length && this.y[stop] >= y) stop += 1;
    if (gain) gain(this.areaOf(x, y, start, stop, corner));
    this.x.splice(start, stop - start, x);
    this.y.splice(start, stop - start, y);
    return true;
  }

  areaOf(x, y, start, stop, corner) {
    let [area, left, top] = [0, x, start > 0 ? this.y[start - 1] : corner[1]];
    for (let place = start; place < stop; place += 1) {
      area += (this.x[place] - left) * (top - y);
      [left, top] = [this.x[place], this.y[place]];
    }
    return area + ((stop < this.x.length ? this.x[stop] : corner[0]) - left) * (top - y);
  }

  // The first place whose x is not smaller.
  placeOf(x) {
    let [low, high] = [0, this.x.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.x[middle] < x) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

// Minimized points, all of them better than the corner.
function volumeOf(points, corner) {
  if (corner.length > 3) return null;
  if (!points.length) return 0;
  if (corner.length === 1) return corner[0] - Math.min(...points.map(([value]) => value));
  const last = corner.length === 3 ? 2 : null;
  const ordered = last === null ? points : [...points].sort((a, b) => a[last] - b[last]);
  const stairs = new Stairs();
  let [area, volume] = [0, 0];
  ordered.forEach((point, place) => {
    stairs.add(point[0], point[1], corner, (gained) => { area += gained; });
    if (last !== null) volume += area * ((ordered[place + 1]?.[last] ?? corner[last]) - point[last]);
  });
  return last === null ? area : volume;
}

// The rows' values between their smallest (0) and their largest (1); a constant column is 0.
function unitColumn(column, rows) {
  const [low, high] = ends(column, rows);
  return Float64Array.from(rows, (row) => (high > low ? nineDecimals((column[row] - low) / (high - low)) : 0));
}

function ends(column, rows) {
  let low = Infinity;
  let high = -Infinity;
  for (const row of rows) {
    if (column[row] < low) low = column[row];
    if (column[row] > high) high = column[row];
  }
  return [low, high];
}

// NumPy's rounding: halves go to the even neighbor.
function nineDecimals(value) {
  const scaled = value * KNEE_SCALE;
  const below = Math.floor(scaled);
  const rest = scaled - below;
  return (rest < 0.5 || (rest === 0.5 && below % 2 === 0) ? below : below + 1) / KNEE_SCALE;
}

function isBefore(columns, one, other) {
  for (const column of columns) if (column[one] !== column[other]) return column[one] < column[other];
  return false;
}
