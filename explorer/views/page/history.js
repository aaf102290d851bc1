// The curve of the hypervolume over time.
/* global Plotly */
import { searchedColumns } from "explore/confirmed";
import { byId, say } from "explore/dom";
import { countText, isKnown } from "explore/format";
import { boxVolume, hypervolumeHistory } from "explore/hypervolume";
import { axisTitle, baseLayout, isNarrow, plotConfig } from "explore/theme";

const NO_REFERENCE = "The curve begins with the baseline, which fixes the reference point.";
const IN_WORK = "The curve of more than three objectives is being computed; it follows a growing study in steps.";

/**
 * The curve: `values` after `at` finished trials, percent of the box up to the ideal point where `isShare`, and `why`
 * there is none. What more than three objectives need is computed in Python, and comes with the insights.
 */
export function historyOf({ snapshot, insights }) {
  const { objectives, trials, reference_point: reference, ideal_point: ideal } = snapshot;
  const none = { at: [], values: [], isShare: false };
  if (!reference || !trials.number.length) return { ...none, why: NO_REFERENCE };
  const { columns, states } = searchedColumns(
    snapshot,
    objectives.map((one) => one.metric),
  );
  const directions = objectives.map((one) => one.direction);
  const corner = objectives.map((one) => reference[one.metric]);
  const mask = Uint8Array.from(states, (state, index) =>
    state === 0 && columns.every((column) => isKnown(column[index])) ? 1 : 0,
  );
  const values = hypervolumeHistory(columns, directions, corner, mask);
  if (values === null) {
    const found = insights?.history;
    return found
      ? { at: found.at, values: percent(found.values, found.is_share), isShare: found.is_share, why: found.why }
      : { ...none, why: IN_WORK };
  }
  const top = ideal && objectives.map((one) => ideal[one.metric]);
  const box = ideal ? boxVolume(top, directions, corner) : 0;
  const shares = box > 0 ? values.map((value) => value / box) : values;
  return { at: values.map((_, index) => index + 1), values: percent(shares, box > 0), isShare: box > 0, why: null };
}

const percent = (values, isShare) => (isShare ? values.map((value) => 100 * value) : values);

/** Draw it. */
export function drawHistory({ at, values, isShare, why }, colors) {
  const element = byId("plot-history");
  const last = values.length - 1;
  byId("history-empty").hidden = values.length > 0;
  element.hidden = values.length === 0;
  if (!values.length) {
    say(byId("history-empty"), why);
    say(byId("history-now"), "");
    return;
  }
  const unit = isShare ? " %" : "";
  say(byId("history-now"), `${values[last].toPrecision(3)}${unit} after ${countText(at[last], "trial")}`);
  // A line of stairs needs only its corners.
  const isCorner = (index) => index === 0 || index === last || values[index] !== values[index - 1];
  const kept = [...values.keys()].filter(isCorner);
  const layout = baseLayout(colors);
  Object.assign(layout, {
    uirevision: "history",
    margin: { l: 52, r: 10, t: 8, b: 44 },
    dragmode: isNarrow() ? false : "zoom",
  });
  Object.assign(layout.xaxis, { title: axisTitle("finished trials", 6) });
  Object.assign(layout.yaxis, {
    title: axisTitle(isShare ? "hypervolume [%]" : "hypervolume", 6),
    rangemode: "tozero",
  });
  const trace = {
    type: "scatter",
    mode: "lines",
    x: kept.map((index) => at[index]),
    y: kept.map((index) => values[index]),
    line: { shape: "hv", color: colors.front, width: 2 },
    fill: "tozeroy",
    fillcolor: colors.wash,
    hovertemplate: `after %{x} trials: %{y:.2f}${unit}<extra></extra>`,
    hoverlabel: { bgcolor: colors.paper, bordercolor: colors.axis, font: { color: colors.ink } },
  };
  Plotly.react(element, [trace], layout, { ...plotConfig, displayModeBar: false });
}
