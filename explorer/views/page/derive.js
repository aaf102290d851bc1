// What follows from the snapshot and the view: costs at these prices, the front within these limits, knee, words.
import { baselineRow, candidateMask, costOf, frontMask, hiddenRows, recommendation, staircase } from "explore/front";
import { differenceText, gainText, isKnown, labelText, numberText, parameterText, valueText } from "explore/format";

const COST = "cost_usd_per_million";
const USUAL = ["accuracy", "latency_ms", "peak_memory_mib", "cost_usd_per_million"];
const MAX_KINDS = 8;
const WIDE_SPAN = 8;

/** Everything that the page draws, for `snapshot` within the view's limits and at its prices. */
export function derive(snapshot, view) {
  const { trials, objectives } = snapshot;
  const metrics = new Map(snapshot.metrics.map((metric) => [metric.name, metric]));
  const columns = columnsOf(snapshot, view);
  const values = Object.fromEntries(Object.entries(columns).map(([name, column]) => [name, column.value]));
  const bounds = boundsOf(snapshot, view);
  const n = trials.number.length;
  const { measured, order, places } = basis(snapshot);
  // A limit that is not known yet (its baseline is missing) was judged by the study, and only there.
  const isOpen = snapshot.constraints.some((one) => one.bound === null && !(`${one.metric}${one.is_lower_bound ? ">=" : "<="}` in view.bounds));
  const valid = Uint8Array.from(trials.state, (state, index) => (state !== 2 && !(isOpen && state === 1) && !isInvalid(trials, index) ? 1 : 0));
  const mask = candidateMask(Array.from(valid, (one) => (one ? 0 : 2)), values, objectives, bounds);
  const directions = objectives.map((one) => one.direction);
  const isFront = n ? frontMask(objectives.map((one) => values[one.metric] ?? new Array(n).fill(null)), directions, mask) : new Uint8Array(0);
  const front = measured.filter((index) => isFront[index]);
  const baseline = baselineRow(trials);
  const named = front.length ? recommendation(values, objectives, trials.number, isFront, baseline) : { knee: null, nearly: null };
  const nMeasuredFeasible = measured.reduce((sum, index) => sum + mask[index], 0);
  const derived = {
    trials, objectives, metrics, columns, bounds, measured, front, isFront, baseline,
    parameters: new Map(snapshot.parameters.map((one) => [one.name, one])),
    number: trials.number, byNumber: order, isFeasible: mask, knee: named.knee ?? -1, nearly: named.nearly ?? -1,
    counts: { feasible: nMeasuredFeasible, infeasible: measured.length - nMeasuredFeasible, failed: trials.state.filter((state) => state === 2).length },
    usual: usualMetrics(snapshot, columns),
    tableMetrics: snapshot.metrics.filter((metric) => columns[metric.name].value.some(isKnown)),
    indexOf: (number) => places.get(number) ?? -1,
    isInvalid: (index) => isInvalid(trials, index),
  };
  return Object.assign(derived, lookups(derived), sentences(derived, snapshot));
}

const bases = new WeakMap();

// What only the snapshot decides, whatever the limits are: it is found once.
function basis(snapshot) {
  if (!bases.has(snapshot)) {
    const { trials, objectives } = snapshot;
    const rows = [...trials.number.keys()];
    const isMeasured = (index) => trials.state[index] !== 2 && objectives.some((one) => isKnown(trials.metrics[one.metric]?.value[index]));
    bases.set(snapshot, {
      measured: rows.filter(isMeasured),
      order: [...rows].sort((a, b) => trials.number[a] - trials.number[b]),
      places: new Map(trials.number.map((number, index) => [number, index])),
    });
  }
  return bases.get(snapshot);
}

/** The rows that pass filter and brushes as a mask; null when all do. */
export function matchesOf(snapshot, view, derived) {
  const brushes = Object.entries(view.brush);
  const tests = view.filter.toLowerCase().split(/\s+/).filter(Boolean).map((word) => testOf(word, snapshot, derived));
  if (!brushes.length && !tests.length && view.show === "all") return null;
  return Uint8Array.from(snapshot.trials.number, (_, index) => {
    const isShown = view.show === "all" || (view.show === "feasible" ? derived.isFeasible[index] === 1 : derived.stateOf(index) === view.show);
    const isBrushed = brushes.every(([name, [low, high]]) => {
      const value = derived.columnOf(name)?.[index];
      return isKnown(value) && value >= low && value <= high;
    });
    return isShown && isBrushed && tests.every((test) => test(index)) ? 1 : 0;
  });
}

/** The limits that hold: the study's, as the view changes them, by keys such as `latency_ms<=`. */
function boundsOf(snapshot, view) {
  const keys = new Set([...snapshot.constraints.map((one) => `${one.metric}${one.is_lower_bound ? ">=" : "<="}`), ...Object.keys(view.bounds)]);
  const found = [];
  for (const key of keys) {
    const metric = key.slice(0, -2);
    const isLower = key.endsWith(">=");
    const own = snapshot.constraints.filter((one) => one.metric === metric && one.is_lower_bound === isLower && isKnown(one.bound)).map((one) => one.bound);
    const bound = key in view.bounds ? view.bounds[key] : own.length ? (isLower ? Math.max(...own) : Math.min(...own)) : null;
    found.push({ metric, is_lower_bound: isLower, bound });
  }
  return found;
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

const isInvalid = (trials, index) => Boolean(trials.validity && trials.validity[index] && trials.validity[index] !== "valid");

function usualMetrics(snapshot, columns) {
  const names = snapshot.objectives.map((one) => one.metric);
  for (const name of USUAL) if (!names.includes(name)) names.push(name);
  const known = new Set(snapshot.metrics.map((metric) => metric.name));
  return names.filter((name) => known.has(name) && columns[name].value.some(isKnown));
}

function lookups(derived) {
  const { metrics, columns, parameters, objectives, trials } = derived;
  const spans = new Map();
  const stairs = new Map();
  const kinds = new Map();
  const trialAxis = { name: "trial", title: "trial", unit: "", scale: 1, better: "minimize" };
  const metricOf = (name) => metrics.get(name) ?? (name === "trial" ? trialAxis : null);
  const columnOf = (name) => (metricOf(name) ? columns[name].value : trials.parameters[name] ?? []);
  const betterOf = (name) => objectives.find((one) => one.metric === name)?.direction ?? metricOf(name)?.better ?? "minimize";
  const spanOf = (name) => {
    if (!spans.has(name)) {
      const scale = metricOf(name)?.scale ?? 1;
      let [low, high] = [Infinity, -Infinity];
      for (const value of columnOf(name)) if (isKnown(value)) [low, high] = [Math.min(low, value), Math.max(high, value)];
      spans.set(name, low > high ? { raw: [null, null], shown: [null, null] } : { raw: [low, high], shown: [low * scale, high * scale] });
    }
    return spans.get(name);
  };
  return {
    columnOf, betterOf, metricOf,
    scaleOf: (name) => metricOf(name)?.scale ?? 1,
    spanOf: (name) => spanOf(name).raw,
    shownSpanOf: (name) => spanOf(name).shown,
    isWide: (name) => {
      const [low, high] = spanOf(name).raw;
      return name !== "trial" && isKnown(low) && low > 0 && high / low > WIDE_SPAN;
    },
    title: (name) => metricOf(name)?.title ?? parameters.get(name)?.title ?? name,
    label: (name) => (metricOf(name) ? labelText(metricOf(name)) : parameters.get(name)?.title ?? name),
    shown: (name, value) => (metricOf(name) ? numberText(metricOf(name), value) : parameters.has(name) ? parameterText(parameters.get(name), value) : String(value)),
    wordsOf: (name) => parameters.get(name)?.ticks ?? null,
    kindsOf: (name) => {
      if (!kinds.has(name)) {
        const found = [...new Set(columnOf(name).filter(isKnown))].sort((a, b) => a - b).slice(0, MAX_KINDS);
        const parameter = parameters.get(name);
        kinds.set(name, found.map((value) => ({ value, text: parameter ? parameterText(parameter, value) : String(value) })));
      }
      return kinds.get(name);
    },
    stairs: (x, y) => {
      const key = `${x}|${y}`;
      if (!stairs.has(key)) stairs.set(key, staircase(columns[x].value, columns[y].value, [betterOf(x), betterOf(y)], derived.isFeasible));
      return stairs.get(key);
    },
    boundOf: (key) => derived.bounds.find((one) => `${one.metric}${one.is_lower_bound ? ">=" : "<="}` === key)?.bound ?? null,
    stateOf: (index) => {
      if (trials.state[index] === 2) return "failed";
      if (derived.isInvalid(index)) return "invalid";
      return derived.isFront[index] ? "front" : derived.isFeasible[index] ? "feasible" : "infeasible";
    },
    gain: (name, index) => (derived.baseline === null || index === derived.baseline ? "" : gainText(metrics.get(name), columns[name].value[index], columns[name].value[derived.baseline])),
  };
}

function sentences(derived, snapshot) {
  const { metrics, columns, objectives, trials, bounds } = derived;
  const broken = (index) => bounds.filter(({ metric, is_lower_bound: isLower, bound }) => {
    const value = columns[metric]?.value[index];
    return isKnown(bound) && (!isKnown(value) || (isLower ? value < bound : value > bound));
  });
  const brokenText = ({ metric, is_lower_bound: isLower, bound }, index) => {
    const value = columns[metric]?.value[index];
    if (!isKnown(value)) return `${derived.title(metric)} is not known`;
    return `${metrics.get(metric).title} misses ${isLower ? "at least" : "at most"} ${valueText(metrics.get(metric), bound)} by ${differenceText(metrics.get(metric), Math.abs(value - bound)).slice(1)}`;
  };
  return {
    /** Where a trial stands, in short texts, most important first. */
    placeText(index, x, y) {
      const notes = [];
      const group = derived.stateOf(index);
      if (index === derived.knee) notes.push("the knee of the front");
      else if (group === "front") notes.push("on the front");
      else if (group === "feasible") notes.push("dominated");
      if (index === derived.baseline) notes.push("the baseline");
      if (group === "front" && hiddenRows(derived.isFront, derived.stairs(x, y)).includes(index)) {
        const others = objectives.map((one) => one.metric).filter((name) => name !== x && name !== y);
        notes.push(`on the front only through ${others.map((name) => derived.title(name)).join(", ")}`);
      }
      if (group === "infeasible") notes.push(`infeasible: ${broken(index).map((bound) => brokenText(bound, index)).join("; ") || snapshot.reasons[derived.number[index]] || "an objective is not known"}`);
      if (group === "failed") notes.push(`failed: ${snapshot.reasons[derived.number[index]] ?? "no reason was given"}`);
      if (group === "invalid") notes.push(`not valid: ${trials.validity[index]}`);
      if (isKnown(trials.membership?.[index])) notes.push(`on the front with ${Math.round(100 * trials.membership[index])} %`);
      if (trials.confirmed?.[index]) notes.push("confirmed by measuring again");
      return notes;
    },
    /** The recommendation: parts of sentences, `trial` where one is named. */
    advice() {
      const entry = (index) => [{ trial: derived.number[index] }, ` (${variantText(derived, index)}): `, ...objectiveParts(derived, index), "."];
      if (derived.knee >= 0) {
        const lines = [["Take ", ...entry(derived.knee)]];
        lines[0].push(" It is the knee of the front: from here every further gain in one objective costs most in the others.");
        if (derived.nearly >= 0 && derived.nearly !== derived.knee) lines.push(["The fastest within one point of the baseline’s accuracy is ", ...entry(derived.nearly)]);
        return lines;
      }
      if (!derived.number.length) return [["Nothing is measured yet. The recommendation appears with the first feasible trial."]];
      if (!derived.measured.length) return [[`Of ${derived.number.length} finished trials none has a result; the reasons are below, under “Failed and infeasible”.`]];
      return [[nearest(derived, broken, brokenText)]];
    },
    broken, brokenText,
  };
}

// Which trial comes nearest to the limits: the one that breaks the fewest, then by the smallest share of the bound.
function nearest(derived, broken, brokenText) {
  let best = null;
  for (const index of derived.measured) {
    const missed = broken(index);
    const far = missed.reduce((sum, one) => sum + Math.abs((derived.columns[one.metric]?.value[index] ?? Infinity) - one.bound) / (Math.abs(one.bound) || 1), 0);
    if (!best || missed.length < best.missed.length || (missed.length === best.missed.length && far < best.far)) best = { index, missed, far };
  }
  return `No measured trial is within these limits. Trial ${derived.number[best.index]} comes nearest: ${best.missed.map((one) => brokenText(one, best.index)).join("; ") || "an objective is not known"}.`;
}

/** A variant in one line: words speak for themselves, numbers do not. */
function variantText(derived, index) {
  const words = [];
  for (const parameter of derived.parameters.values()) {
    const text = parameterText(parameter, derived.trials.parameters[parameter.name]?.[index]);
    words.push(parameter.ticks && text !== "none" && Number.isNaN(Number(text)) ? text : `${parameter.title} ${text}`);
  }
  return words.join(" · ");
}

function objectiveParts(derived, index) {
  const parts = derived.objectives.map(({ metric: name }) => {
    const metric = derived.metrics.get(name);
    const gain = derived.gain(name, index);
    const text = `${metric.title} ${valueText(metric, derived.columns[name].value[index])}`;
    if (!gain) return text;
    const words = metric.scale !== 1 ? "points" : Number.parseFloat(gain) >= 1 ? "better" : "as good";
    return `${text} (${gain} ${words})`;
  });
  return [parts.join(", ")];
}

// `latency<1`: a comparison, in the unit that is shown; anything else: text that the row must have.
function testOf(word, snapshot, derived) {
  const found = /^([^<>=]+)(<=|>=|<|>|=)(-?[\d.]+(?:e-?\d+)?)$/.exec(word);
  if (found) {
    const [, name, sign, text] = found;
    const all = [...derived.metrics.values(), ...derived.parameters.values(), { name: "trial", title: "trial" }];
    const fits = (one) => [one.name, one.title].map((title) => title.toLowerCase().replaceAll(" ", "_"));
    const one = all.find((each) => fits(each).includes(name)) ?? all.find((each) => fits(each).some((title) => title.startsWith(name)));
    const limit = Number(text) / derived.scaleOf(one?.name);
    if (one && !one.ticks && Number.isFinite(limit)) {
      const column = derived.columnOf(one.name);
      const compare = { "<=": (a) => a <= limit, ">=": (a) => a >= limit, "<": (a) => a < limit, ">": (a) => a > limit, "=": (a) => Math.abs(a - limit) <= 1e-9 * Math.abs(limit) }[sign];
      return (index) => isKnown(column[index]) && compare(column[index]);
    }
  }
  return (index) => textOf(snapshot, derived, index).includes(word);
}

const texts = new WeakMap();

function textOf(snapshot, derived, index) {
  if (!texts.has(snapshot)) texts.set(snapshot, []);
  const all = texts.get(snapshot);
  all[index] ??= `trial ${derived.number[index]} ${variantText(derived, index)} ${snapshot.reasons[derived.number[index]] ?? ""}`.toLowerCase();
  return `${all[index]} ${derived.stateOf(index)}`;
}
