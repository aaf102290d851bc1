// Derived values of a snapshot and a view: costs at its prices, the front within its limits, the knee.
import { candidatesOf, likelyOf, standings } from "explore/confirmed";
import { costOf } from "explore/cost";
import { isKnown } from "explore/format";
import { candidateMask, frontMask } from "explore/front";
import { baselineRow, recommendation } from "explore/knee";
import { boundKey, boundsOf } from "explore/limits";
import { lookups } from "explore/lookups";
import { sentences } from "explore/sentences";

const [INFEASIBLE, FAILED, INVALID] = [1, 2, 3];
const COST = "cost_usd_per_million";

/** Everything that the page draws, for `snapshot` within the view's limits and at its prices. */
export function derive(snapshot, view) {
  const { trials, objectives } = snapshot;
  const metrics = new Map(snapshot.metrics.map((metric) => [metric.name, metric]));
  const columns = columnsOf(snapshot, view);
  const bounds = boundsOf(snapshot, view);
  const quality = snapshot.quality[0];
  const values = judgedValues(columns, quality, objectives, bounds);
  const n = trials.number.length;
  const { measured, order, places, excluded, nInvalid, nFailed } = basis(snapshot);
  // A limit that is not known yet (its baseline is missing) was judged by the study, and only there.
  const isOpen = snapshot.constraints.some((one) => one.bound === null && !(boundKey(one) in view.bounds));
  const mask = candidateMask(isOpen ? excluded.all : excluded.always, values, objectives, bounds);
  const candidates = candidatesOf(snapshot, mask);
  const directions = objectives.map((one) => one.direction);
  const isFront = n
    ? frontMask(
        objectives.map((one) => values[one.metric] ?? new Array(n).fill(null)),
        directions,
        candidates,
      )
    : new Uint8Array(0);
  const front = measured.filter((index) => isFront[index]);
  const baseline = baselineRow(trials);
  const named = front.length
    ? recommendation(values, quality, objectives, trials.number, likelyOf(snapshot, isFront), baseline)
    : { knee: null, nearly: null };
  let [nMeasuredFeasible, nCandidates] = [0, 0];
  for (const index of measured) {
    nMeasuredFeasible += mask[index];
    nCandidates += candidates[index];
  }
  const derived = {
    trials,
    objectives,
    metrics,
    quality,
    columns,
    bounds,
    measured,
    front,
    isFront,
    baseline,
    parameters: new Map(snapshot.parameters.map((one) => [one.name, one])),
    number: trials.number,
    byNumber: order,
    isFeasible: mask,
    isCandidate: candidates,
    knee: named.knee ?? -1,
    nearly: named.nearly ?? -1,
    counts: {
      feasible: nMeasuredFeasible,
      candidates: nCandidates,
      infeasible: measured.length - nMeasuredFeasible - nInvalid,
      invalid: nInvalid,
      failed: nFailed,
    },
    usual: usualMetrics(snapshot, columns),
    tableMetrics: snapshot.metrics.filter((metric) => isMeasured(metric, columns)),
    indexOf: (number) => places.get(number) ?? -1,
    isInvalid: (index) => trials.state[index] === INVALID,
  };
  return Object.assign(derived, standings(snapshot, derived), lookups(derived), sentences(derived, snapshot));
}

const bases = new WeakMap();

// What only the snapshot decides, whatever the limits are: it is found once.
function basis(snapshot) {
  if (!bases.has(snapshot)) {
    const { trials, objectives } = snapshot;
    const rows = [...trials.number.keys()];
    const isMeasured = (index) =>
      trials.state[index] !== FAILED && objectives.some((one) => isKnown(trials.metrics[one.metric]?.value[index]));
    const measured = rows.filter(isMeasured);
    const excludedWhere = (test) => Uint8Array.from(trials.state, (state) => (test(state) ? FAILED : 0));
    bases.set(snapshot, {
      measured,
      excluded: {
        always: excludedWhere((state) => state >= FAILED),
        all: excludedWhere((state) => state >= FAILED || state === INFEASIBLE),
      },
      nInvalid: measured.filter((index) => trials.state[index] === INVALID).length,
      nFailed: trials.state.filter((state) => state === FAILED).length,
      order: [...rows].sort((a, b) => trials.number[a] - trials.number[b]),
      places: new Map(trials.number.map((number, index) => [number, index])),
    });
  }
  return bases.get(snapshot);
}

function columnsOf(snapshot, view) {
  const { trials } = snapshot;
  const columns = { ...trials.metrics };
  const isPriced = Object.keys(view.prices).length > 0 && trials.metrics[COST];
  if (isPriced) columns[COST] = costOf(trials, { ...snapshot.prices, ...view.prices });
  const empty = new Array(trials.number.length).fill(null);
  for (const metric of snapshot.metrics) columns[metric.name] ??= { value: empty, low: empty, high: empty };
  columns.trial = { value: trials.number, low: empty, high: empty };
  return columns;
}

function usualMetrics(snapshot, columns) {
  const names = snapshot.objectives.map((one) => one.metric);
  for (const name of snapshot.usual.metrics) if (!names.includes(name)) names.push(name);
  const known = new Set(snapshot.metrics.filter((metric) => isMeasured(metric, columns)).map((metric) => metric.name));
  return names.filter((name) => known.has(name));
}

// What some trial knows stays known; what none knew when the study was read may have come since.
const isMeasured = (metric, columns) => metric.is_known || columns[metric.name].value.some(isKnown);

// The columns that determine the front and the recommendation, by metric.
function judgedValues(columns, quality, objectives, bounds) {
  const names = [quality, ...objectives.map((one) => one.metric), ...bounds.map((one) => one.metric)];
  return Object.fromEntries(names.filter((name) => columns[name]).map((name) => [name, columns[name].value]));
}
