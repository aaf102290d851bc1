// The front over two metrics: all trials, intervals as error bars, the step line of the two metrics alone.
import { drawCloud } from "explore/cloud";
import { isKnown, plotlyText } from "explore/format";
import { frontMarker, shownColumn, symbolsOf } from "explore/marks";
import { isLogAxis, rangeOf } from "explore/ranges";
import { axisKind, axisTitle, baseLayout, isNarrow } from "explore/theme";

/** Number of points up to which SVG is fast enough; above it the points behind the front are one image. */
export const MAX_SVG_POINTS = 3000;

/** The room around the axes. */
export const marginOf = () => (isNarrow() ? { l: 50, r: 8, t: 8, b: 46 } : { l: 62, r: 12, t: 10, b: 50 });

/**
 * The figure. `rest` keeps what is behind the front between two drawings, in a box of `width` and `height` pixels.
 */
export function figure2d(state, colors, rest, isDragging, width, height) {
  const { view, derived, matches } = state;
  const [x, y] = [view.x, view.y];
  const isPlaced = (index) => isKnown(derived.columns[x].value[index]) && isKnown(derived.columns[y].value[index]);
  const front = derived.front.filter(isPlaced);
  const near = derived.near.filter(isPlaced);
  const stairs = derived.stairs(x, y);
  const isLog = { x: isLogAxis(view, derived, "x"), y: isLogAxis(view, derived, "y") };
  const trace = (indices, more) => ({
    x: shownColumn(derived, x, indices),
    y: shownColumn(derived, y, indices),
    customdata: indices.map((index) => derived.number[index]),
    mode: "markers",
    type: "scatter",
    hoverinfo: "none",
    ...more,
  });
  const shape = derived.betterOf(x) === "minimize" ? "hv" : "vh";
  const onStairs = new Set(stairs);
  const ring = (indices, marker) => trace(indices, { marker, hoverinfo: "skip", cliponaxis: false });
  const marked = (numbers) =>
    numbers.map((number) => derived.indexOf(number)).filter((index) => index >= 0 && isPlaced(index));
  // Not Plotly but the view keeps the zoom: Plotly would drop it when new data move the ends of the axes.
  const ranges = { x: rangeOf(view, derived, "x"), y: rangeOf(view, derived, "y") };
  const margin = marginOf();
  const box = { width: width - margin.l - margin.r, height: height - margin.t - margin.b };
  // While a slider moves in a large study only the front is redrawn; the points behind it follow at rest.
  if (!isDragging)
    Object.assign(rest, behindFront(state, colors, derived.measured.filter(isPlaced), ranges, isLog, box));
  const data = [
    ...rest.traces,
    trace(stairs, { mode: "lines", line: { shape, color: colors.line, width: 1.3 }, hoverinfo: "skip" }),
    trace([], {
      ...links(derived, x, y),
      mode: "lines",
      line: { dash: "dot", color: colors.line, width: 1.8 },
      hoverinfo: "skip",
      meta: "ties",
    }),
    trace(near, {
      meta: "near",
      marker: { symbol: "circle-open", size: 11, color: colors.front, opacity: 0.6, line: { width: 1.6 } },
      ...dimmed(near, matches, 0.1),
      error_x: bars(derived, x, near, matches, colors),
      error_y: bars(derived, y, near, matches, colors),
    }),
    trace(front, {
      meta: "front",
      marker: frontMarker(state, colors, front, onStairs),
      ...dimmed(front, matches, 0.1),
      error_x: bars(derived, x, front, matches, colors),
      error_y: bars(derived, y, front, matches, colors),
    }),
    ring(marked(derived.knee < 0 ? [] : [derived.number[derived.knee]]), {
      symbol: "circle-open",
      size: 22,
      color: colors.knee,
      line: { width: 2.6 },
    }),
    ring(marked([0]), { symbol: "square-open", size: 16, color: colors.ink, line: { width: 1.8 } }),
    ring(marked(view.pinned), { symbol: "diamond-open", size: 22, color: colors.ink, line: { width: 1.6 } }),
    ring(marked(view.selected === null ? [] : [view.selected]), {
      symbol: "circle-open",
      size: 30,
      color: colors.ink,
      line: { width: 2 },
    }),
  ];
  const layout = baseLayout(colors);
  const isEmpty = derived.measured.length === 0;
  layout.margin = margin;
  layout.images = rest.image ? [rest.image] : [];
  // The pointer finds the points of a picture by itself.
  layout.hovermode = rest.image ? false : "closest";
  layout.dragmode = isNarrow() ? false : "zoom";
  const title = (name) => axisTitle(plotlyText(derived.label(name)), 8);
  for (const [letter, name] of [
    ["x", x],
    ["y", y],
  ]) {
    const range = ranges[letter];
    Object.assign(layout[`${letter}axis`], axisKind(isLog[letter], range), {
      title: title(name),
      range,
      showticklabels: !isEmpty,
    });
  }
  return { data, layout };
}

// What is behind the front: traces of points, or above MAX_SVG_POINTS one picture in the axes' own coordinates, which
// moves with them while one drags, is in a saved PNG, and costs nothing while a slider moves.
function behindFront(state, colors, placed, ranges, isLog, box) {
  if (placed.length <= MAX_SVG_POINTS) return { traces: restTraces(state, colors, placed), image: null, places: null };
  const { view, derived } = state;
  const axis = (letter) => ({
    column: derived.columns[view[letter]].value,
    scale: derived.scaleOf(view[letter]),
    range: ranges[letter],
    isLog: isLog[letter],
  });
  const { url, places } = drawCloud(placed, { x: axis("x"), y: axis("y") }, box, colors, state);
  const image = {
    source: url,
    layer: "below",
    sizing: "stretch",
    xref: "x",
    yref: "y",
    xanchor: "left",
    yanchor: "top",
    x: ranges.x[0],
    y: ranges.y[1],
    sizex: ranges.x[1] - ranges.x[0],
    sizey: ranges.y[1] - ranges.y[0],
  };
  return { traces: [], image, places };
}

function restTraces(state, colors, placed) {
  const { view, derived, matches } = state;
  const groups = { infeasible: [], invalid: [], feasible: [] };
  for (const index of placed)
    if (!derived.isNear(index) && !derived.isFront[index])
      groups[derived.isInvalid(index) ? "invalid" : derived.isFeasible[index] ? "feasible" : "infeasible"].push(index);
  const size = placed.length > 600 ? 5.5 : 7;
  const trace = (indices, marker) => ({
    type: "scatter",
    mode: "markers",
    hoverinfo: "none",
    x: shownColumn(derived, view.x, indices),
    y: shownColumn(derived, view.y, indices),
    customdata: indices.map((index) => derived.number[index]),
    marker,
    ...dimmed(indices, matches, 0.12),
  });
  const faint = { size, color: colors.faint, opacity: 0.75, line: { width: 1.4, color: colors.faint } };
  return [
    trace(groups.infeasible, { ...faint, symbol: "x-thin" }),
    trace(groups.invalid, { ...faint, symbol: "diamond-open" }),
    trace(groups.feasible, { symbol: symbolsOf(state, groups.feasible), size, color: colors.rest }),
  ];
}

/** What a filter leaves out stays where it is, and pales. */
export function dimmed(indices, matches, opacity) {
  if (!matches) return { selectedpoints: null };
  const kept = [];
  indices.forEach((index, place) => matches[index] && kept.push(place));
  return { selectedpoints: kept, unselected: { marker: { opacity } } };
}

// A dotted line between every two tied trials.
function links(derived, x, y) {
  const pairs = derived.tiePairs().filter((pair) => pair.every((row) => row >= 0));
  const along = (name) => pairs.flatMap((pair) => [...shownColumn(derived, name, pair), null]);
  return { x: along(x), y: along(y) };
}

function bars(derived, name, indices, matches, colors) {
  const column = derived.columns[name];
  const scale = derived.scaleOf(name);
  const length = (index, end) => {
    const ends = [column.value[index], column[end]?.[index]];
    return ends.every(isKnown) && (!matches || matches[index]) ? Math.abs(ends[1] - ends[0]) * scale : 0;
  };
  return {
    type: "data",
    symmetric: false,
    color: colors.bar,
    thickness: 1.2,
    width: 0,
    array: indices.map((index) => length(index, "high")),
    arrayminus: indices.map((index) => length(index, "low")),
  };
}
