// The front within limits, as in explorer/pareto/front.py: the candidates, and those that no other dominates.
//
// Pure functions over the snapshot's plain columns (numbers or null). A row is a trial's place in the columns. What is
// here and in the modules below it gives what Python gives: tests/views/test_front_js.py compares.
import { dominatedInSets } from "explore/bitsets";
import { ends, minimized, rowsOf } from "explore/columns";
import { Archive2d } from "explore/hypervolume_2d";

// Failed trials have no result, whatever was measured before they failed.
const FAILED = 2;
// Fronts of four and more objectives that are longer than this are found with sets of bits.
const MAX_COMPARED = 1000;

/**
 * The rows that may be on the front: not failed, knowing every objective, and within every constraint
 * (`{metric, is_lower_bound, bound}`; a bound that is null holds). `values` maps a metric to its column of values.
 */
export function candidateMask(state, values, objectives, constraints) {
  const mask = new Uint8Array(state.length);
  for (let row = 0; row < mask.length; row += 1) mask[row] = state[row] === FAILED ? 0 : 1;
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
  const isKnown = new Uint8Array(mask.length);
  for (let row = 0; row < mask.length; row += 1) isKnown[row] = mask[row] && x[row] !== null && y[row] !== null ? 1 : 0;
  const rows = rowsOf(frontMask([x, y], directions, isKnown));
  return Array.from(rows).sort((a, b) => x[a] - x[b] || y[a] - y[b] || a - b);
}

/** The rows of a front that are on it only through an objective other than x and y. */
export function hiddenRows(front, stairs) {
  const shown = new Set(stairs);
  return Array.from(rowsOf(front)).filter((row) => !shown.has(row));
}

function keep(mask, column, holds) {
  for (let row = 0; row < mask.length; row += 1) if (mask[row] && !(column && holds(column[row]))) mask[row] = 0;
}

// The rows that a few strong ones do not dominate: fewer rows to sort, which takes most of the time.
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
  const stairs = new Archive2d();
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
