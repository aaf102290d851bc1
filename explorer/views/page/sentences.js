// Sentences: the place of a trial, the recommendation, and the trial nearest to limits that none satisfies.
import { shareText } from "explore/confirmed";
import { differenceText, isKnown, parameterText, thousands, valueText } from "explore/format";
import { hiddenRows } from "explore/front";

const noneHas = (n) =>
  n === 1 ? "The one finished trial has no result." : `Of ${thousands(n)} finished trials none has a result.`;
const REASONS = "The reasons are below, under “Failed and infeasible”.";
const NONE_IS_LIKELY =
  "No member of the front is on it with a probability of at least 50 %, so all of them were eligible.";

/** Functions that describe a row or the whole study. */
export function sentences(derived, snapshot) {
  const { metrics, columns, objectives, bounds } = derived;
  const broken = (index) =>
    bounds.filter(({ metric, is_lower_bound: isLower, bound }) => {
      const value = columns[metric]?.value[index];
      return isKnown(bound) && (!isKnown(value) || (isLower ? value < bound : value > bound));
    });
  const brokenText = ({ metric, is_lower_bound: isLower, bound }, index) => {
    const value = columns[metric]?.value[index];
    if (!isKnown(value)) return `${derived.title(metric)} is not known`;
    const { title } = metrics.get(metric);
    const by = differenceText(metrics.get(metric), Math.abs(value - bound)).slice(1);
    return `${title} misses ${isLower ? "at least" : "at most"} ${valueText(metrics.get(metric), bound)} by ${by}`;
  };
  return {
    /** The place of a trial in short texts, most important first. */
    placeText(index, x, y) {
      const notes = [];
      const group = derived.stateOf(index);
      if (index === derived.knee) notes.push("the knee of the front");
      else if (group === "front") notes.push("on the front");
      else if (group === "near") notes.push("near the front, and may belong to it");
      else if (group === "feasible")
        notes.push(derived.isCandidate[index] ? "dominated" : "not among the confirmed finalists");
      if (index === derived.baseline) notes.push("the baseline");
      if (group === "front" && hiddenRows(derived.isFront, derived.stairs(x, y)).includes(index)) {
        const others = objectives.map((one) => one.metric).filter((name) => name !== x && name !== y);
        notes.push(`on the front only through ${others.map((name) => derived.title(name)).join(", ")}`);
      }
      if (group === "infeasible")
        notes.push(
          `infeasible: ${
            broken(index)
              .map((bound) => brokenText(bound, index))
              .join("; ") ||
            snapshot.reasons[derived.number[index]] ||
            "an objective is not known"
          }`,
        );
      if (group === "failed") notes.push(`failed: ${snapshot.reasons[derived.number[index]] ?? "no reason was given"}`);
      if (group === "invalid") notes.push(`not valid: ${snapshot.reasons[derived.number[index]] ?? "nobody said why"}`);
      const sure = derived.probability(index);
      if (sure !== null) notes.push(`on the study's front with a probability of ${shareText(sure)}`);
      const ties = derived.tiesOf(index);
      if (ties.length) notes.push(`a tie with trial ${ties.join(", ")}`);
      if (derived.isConfirmed(index)) notes.push(`confirmed in ${derived.confirmation.n_rounds} rounds`);
      if (group === "feasible" && derived.isLeftOut(index))
        notes.push("it may belong to the front, and was one too many to measure again");
      if (derived.whyNot(index)) notes.push(`not confirmed: ${derived.whyNot(index)}`);
      return notes;
    },
    /** The recommendation: parts of sentences, `trial` where one is named. */
    advice() {
      const entry = (index) => [
        { trial: derived.number[index] },
        ` (${variantText(derived, index)}): `,
        ...objectiveParts(derived, index),
        ".",
      ];
      if (derived.knee >= 0) {
        const lines = [["Take ", ...entry(derived.knee)]];
        lines[0].push(
          " It is the knee of the front: from here every further gain in one objective costs most in the others.",
        );
        if (derived.nearly >= 0 && derived.nearly !== derived.knee)
          lines.push([
            `The fastest within one point of the baseline’s ${derived.title(derived.quality)} is `,
            ...entry(derived.nearly),
          ]);
        if (derived.isNoneLikely()) lines.push([NONE_IS_LIKELY]);
        return lines;
      }
      if (!derived.number.length)
        return [["Nothing is measured yet. The recommendation appears with the first feasible trial."]];
      if (!derived.measured.length) return [[`${noneHas(derived.number.length)} ${REASONS}`]];
      return [[nearest(derived, broken, brokenText)]];
    },
    broken,
    brokenText,
  };
}

// Which trial comes nearest to the limits: the one that breaks the fewest, then by the smallest share of the bound.
function nearest(derived, broken, brokenText) {
  let best = null;
  for (const index of derived.measured) {
    const missed = broken(index);
    const far = missed.reduce(
      (sum, one) =>
        sum +
        Math.abs((derived.columns[one.metric]?.value[index] ?? Infinity) - one.bound) / (Math.abs(one.bound) || 1),
      0,
    );
    if (!best || missed.length < best.missed.length || (missed.length === best.missed.length && far < best.far))
      best = { index, missed, far };
  }
  const missed = best.missed.map((one) => brokenText(one, best.index)).join("; ") || "an objective is not known";
  return `No measured trial is within these limits. Trial ${derived.number[best.index]} comes nearest: ${missed}.`;
}

/** A variant in one line; numbers and `none` follow their parameter's title. */
export function variantText(derived, index) {
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
