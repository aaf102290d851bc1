// The confirmation: candidates for the front, probabilities of membership, and ties.
import { isKnown } from "explore/format";

// As in explorer/study/front.py: the recommendation is of the members with at least this probability, where there are
// some.
const LIKELY = 0.5;

/** The confirmation as explorer/views/page/data.py describes it; null where there is none or it is stale. */
export const confirmationOf = (snapshot) =>
  snapshot.confirmation && !snapshot.confirmation.is_stale ? snapshot.confirmation : null;

/**
 * The rows of the mask `feasible` that may be on the front: the confirmed ones of a confirmed study. Where none of
 * these is within the limits, all of them, by the search's values.
 */
export function candidatesOf(snapshot, feasible) {
  const { confirmed } = snapshot.trials;
  if (!confirmationOf(snapshot) || !confirmed) return feasible;
  const found = feasible.map((one, row) => (one && confirmed[row] ? 1 : 0));
  return found.includes(1) ? found : feasible;
}

/** The rows of the front that are more likely on it than not; all of it where none is. */
export function likelyOf(snapshot, front) {
  const { membership } = snapshot.trials;
  if (!confirmationOf(snapshot) || !membership) return front;
  const found = front.map((one, row) => (one && membership[row] >= LIKELY ? 1 : 0));
  return found.includes(1) ? found : front;
}

/** Functions that return the result of the confirmation for a row; empty results without a confirmation. */
export function standings(snapshot, derived) {
  const said = confirmationOf(snapshot);
  const { number, trials } = derived;
  const isNear = (row) => row >= 0 && derived.isFeasible[row] === 1 && !derived.isFront[row];
  const near = (said?.near ?? []).map(derived.indexOf).filter(isNear);
  const nearRows = new Set(near);
  const leftOut = new Set(said?.left_out ?? []);
  const probability = (row) => (said && isKnown(trials.membership?.[row]) ? trials.membership[row] : null);
  const tiesOf = (row) => said?.ties[number[row]] ?? [];
  return {
    confirmation: said,
    isConfirmed: (row) => Boolean(said && trials.confirmed?.[row]),
    near,
    isNear: (row) => nearRows.has(row),
    probability,
    /** Whether the members of the front are confirmed, and none of them is more likely on it than not. */
    isNoneLikely: () =>
      derived.front.length > 0 &&
      derived.front.every((row) => probability(row) !== null && probability(row) < LIKELY),
    tiesOf,
    /** `[row, row]` of every two tied trials. */
    tiePairs: () =>
      Object.entries(said?.ties ?? {}).flatMap(([trial, others]) =>
        others
          .filter((other) => Number(trial) < other)
          .map((other) => [derived.indexOf(Number(trial)), derived.indexOf(other)]),
      ),
    /** Whether a trial may belong to the study's front and is no finalist, since these were too many. */
    isLeftOut: (row) => leftOut.has(number[row]),
    whyNot: (row) => said?.why[number[row]] ?? "",
    /** `{value, low, high}` on the test split; null where it is not known. */
    testAccuracy: (row) => measurementOf(said?.test_accuracies[number[row]]),
    /** A metric as the search measured it, of a confirmed trial; null for others. */
    searched: (name, row) => measurementOf(said?.searched[number[row]]?.metrics[name]),
  };
}

const measurementOf = (ends) => (ends ? { value: ends[0], low: ends[1], high: ends[2] } : null);

/** A probability in percent; values strictly between 0 and 1 never round to 0 or 100 %. */
export function shareText(share) {
  if (share >= 0.995 && share < 1) return "> 99 %";
  return share > 0 && share < 0.005 ? "< 1 %" : `${Math.round(100 * share)} %`;
}

/** Columns of values and the states from the search, to which the hypervolume's history belongs. */
export function searchedColumns(snapshot, names) {
  const { trials } = snapshot;
  const columns = names.map((name) => trials.metrics[name]?.value ?? []);
  const searched = confirmationOf(snapshot)?.searched;
  if (!searched) return { columns, states: trials.state };
  const before = (row) => searched[trials.number[row]];
  return {
    columns: columns.map((column, place) =>
      column.map((value, row) => (before(row) ? (before(row).metrics[names[place]]?.[0] ?? null) : value)),
    ),
    states: trials.state.map((state, row) => before(row)?.state ?? state),
  };
}
