// The stability of the machine: the anchor's time over its quiet level, measurement by measurement.
/* global Plotly */
import { byId, say } from "explore/dom";
import { dimmed } from "explore/front_2d";
import { countText, isKnown, thousands } from "explore/format";
import { axisTitle, baseLayout, isNarrow, plotConfig } from "explore/theme";

const COMES = "Appears a moment after the other figures, with the first trial that was measured beside the anchor.";

/** Draw the anchor's history, which comes with the insights; `onSelect` is called with the trial of a point. */
export function drawStability({ insights, derived, matches }, colors, onSelect) {
  const { sentence, readings = [] } = insights?.steadiness ?? {};
  const element = byId("plot-steady");
  const isThere = readings.length > 0;
  byId("steady-empty").hidden = isThere;
  byId("steady-said").hidden = !isThere;
  element.hidden = !isThere;
  if (!isThere) {
    say(byId("steady-empty"), sentence ?? COMES);
    return;
  }
  const places = readings.map((one, index) => ({ ...one, place: index + 1, row: derived.indexOf(one.trial) }));
  const square = { color: colors.knee, size: 5, symbol: "square" };
  const doubt = { color: colors.ink, size: 9, symbol: "diamond-open", line: { width: 1.6 } };
  const groups = [
    ["dots are trials", (one) => !one.round && !one.is_invalid, { color: colors.front, size: 5 }],
    ["squares confirmation rounds", (one) => one.round && !one.is_invalid, square],
    ["diamonds measurements that are not valid", (one) => one.is_invalid, doubt],
  ]
    .map(([words, holds, marker]) => ({ words, marker, points: places.filter(holds) }))
    .filter(({ points }) => points.length);
  const passing = places.filter(({ row }) => matches?.[row]).length;
  const filtered = matches
    ? ` ${thousands(passing)} of ${countText(places.length, "measurement")} pass the filter; the others are pale.`
    : "";
  say(byId("steady-said"), `${sentence} In the picture ${groups.map(({ words }) => words).join(", ")}.${filtered}`);
  const layout = baseLayout(colors);
  Object.assign(layout, {
    uirevision: "steady",
    margin: { l: 52, r: 10, t: 8, b: 44 },
    dragmode: isNarrow() ? false : "zoom",
    shapes: [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: 0, y1: 0, line: { color: colors.line, width: 1 } }],
  });
  Object.assign(layout.xaxis, { title: axisTitle("measurements, in their order", 6), rangemode: "tozero" });
  Object.assign(layout.yaxis, { title: axisTitle("slower than in its quiet state [%]", 6) });
  const data = groups.map(({ points, marker }) => traceOf(points, marker, colors, matches));
  const isFirst = !element.data;
  Plotly.react(element, data, layout, { ...plotConfig, displayModeBar: false });
  if (isFirst)
    element.on("plotly_click", (event) => {
      const trial = event.points.map((point) => point.customdata).find(isKnown);
      if (trial !== undefined) onSelect(trial);
    });
}

function traceOf(points, marker, colors, matches) {
  const words = (one) =>
    `trial ${one.trial}${one.round ? `, round ${one.round}` : ""}${one.is_invalid ? ", not valid" : ""}`;
  return {
    type: "scatter",
    mode: "markers",
    x: points.map((one) => one.place),
    y: points.map((one) => 100 * (one.slowness - 1)),
    customdata: points.map((one) => one.trial),
    text: points.map(words),
    marker,
    ...dimmed(
      points.map((one) => one.row),
      matches,
      0.12,
    ),
    error_y: {
      type: "data",
      array: points.map((one) => (!matches || matches[one.row] ? 100 * one.slowness * one.spread : 0)),
      color: colors.bar,
      thickness: 1,
      width: 0,
    },
    hovertemplate: "%{text}: %{y:+.1f} %<extra></extra>",
    hoverlabel: { bgcolor: colors.paper, bordercolor: colors.axis, font: { color: colors.ink } },
  };
}
