// The front as a picture: every trial behind it, intervals as bars, color, size and shape by anything; in 2-D and 3-D.
/* global Plotly */
import { h, s, fill, say, byId } from "explore/dom";
import { drawCloud, nearestRow } from "explore/cloud";
import { isKnown, parameterText, plotlyText, spaceText, valueText } from "explore/format";
import { SYMBOLS, axisKind, baseLayout, colorScale, hasWebGL, isNarrow, palette, plotConfig } from "explore/theme";

// Up to here SVG stays fluid, in this picture with its bars; above it what is behind the front is one picture.
const MAX_SVG_POINTS = 3000;
const MOVED_PX = 5;

const FRONT_SIZE = 12;
const ASIDE_SIZE = 9;

/** The front's figure: `draw(state)` brings it up to date, the pointer selects. */
export function makeFrontPlot(onSelect, onZoom, describe) {
  const element = byId("plot-front");
  const tip = byId("tip");
  let isConnected = false;
  let shownMode = "";
  const rest = { traces: [], image: null, places: null };
  let last = null;

  // A large study's points are no elements: the pointer finds them by their places.
  const found = (event) => {
    if (!rest.places || !last || last.view.mode === "3d") return -1;
    const box = element.getBoundingClientRect();
    const margin = marginOf();
    return nearestRow(rest.places, event.clientX - box.left - margin.l, event.clientY - box.top - margin.t, last.derived.isFront);
  };
  let pressed = null;
  element.addEventListener("pointerdown", (event) => (pressed = [event.clientX, event.clientY]), true);
  window.addEventListener("pointerup", (event) => {
    if (!pressed) return;
    const isClick = Math.hypot(event.clientX - pressed[0], event.clientY - pressed[1]) < MOVED_PX;
    pressed = null;
    const row = isClick ? found(event) : -1;
    if (row >= 0) onSelect(last.derived.number[row]);
  });
  element.addEventListener("pointermove", (event) => {
    if (!rest.places || pressed) return;
    const row = found(event);
    if (row >= 0) showTip(tip, describe(last.derived.number[row]), event);
    else tip.hidden = true;
  });
  element.addEventListener("pointerleave", () => (tip.hidden = true));

  const connect = () => {
    element.on("plotly_click", (event) => {
      const trial = event.points.map((point) => point.customdata).find(isKnown);
      if (trial !== undefined) onSelect(trial);
    });
    element.on("plotly_hover", (event) => {
      const trial = event.points.map((point) => point.customdata).find(isKnown);
      if (trial !== undefined) showTip(tip, describe(trial), event.event);
    });
    element.on("plotly_unhover", () => (tip.hidden = true));
    element.on("plotly_relayout", (event) => {
      const names = Object.keys(event);
      if (names.some((name) => name.endsWith("axis.autorange"))) onZoom(null);
      else if (names.some((name) => /^[xy]axis\.range/.test(name))) {
        const { xaxis, yaxis } = element.layout;
        onZoom([...xaxis.range, ...yaxis.range].map((end) => Number(end.toPrecision(6))));
      }
    });
  };

  return {
    draw(state, isDragging) {
      const { view, derived } = state;
      last = state;
      const mode = view.mode === "3d" && view.z && hasWebGL() ? "3d" : "2d";
      const note = mode === "2d" && view.mode === "3d" ? "The view in space needs WebGL, which is switched off in this browser." : "";
      byId("plot-empty").hidden = derived.measured.length > 0;
      say(byId("plot-note"), [note, ...plotNotes(state)].filter(Boolean).join(" "));
      drawLegend(byId("plot-legend"), state, mode);
      const colors = palette(view.theme);
      const figure = mode === "3d" ? spaceFigure(state, colors) : flatFigure(state, colors, rest, isDragging, element.clientWidth, element.clientHeight);
      if (shownMode !== mode && shownMode) {
        Plotly.purge(element);
        isConnected = false;
      }
      shownMode = mode;
      Plotly.react(element, figure.data, figure.layout, { ...plotConfig, displayModeBar: isNarrow() ? false : "hover" });
      if (!isConnected) connect();
      isConnected = true;
    },
    isLarge: (state) => state.derived.measured.length > MAX_SVG_POINTS,
  };
}

/** The values of an axis as they are shown, one a trial. */
const shownColumn = (derived, name, indices, end = "value") => {
  const column = derived.columns[name][end];
  const scale = derived.scaleOf(name);
  return indices.map((index) => (isKnown(column[index]) ? column[index] * scale : null));
};

/** Whether an axis is logarithmic: as was chosen, else where its numbers span much. */
export function isLogAxis(view, derived, letter) {
  const chosen = view[`isLog${letter.toUpperCase()}`];
  return chosen ?? derived.isWide(view[letter]);
}

const marginOf = () => (isNarrow() ? { l: 50, r: 8, t: 8, b: 46 } : { l: 62, r: 12, t: 10, b: 50 });

function flatFigure(state, colors, rest, isDragging, width, height) {
  const { view, derived, matches } = state;
  const [x, y] = [view.x, view.y];
  const isPlaced = (index) => isKnown(derived.columns[x].value[index]) && isKnown(derived.columns[y].value[index]);
  const front = derived.front.filter(isPlaced);
  const stairs = derived.stairs(x, y);
  const isLog = { x: isLogAxis(view, derived, "x"), y: isLogAxis(view, derived, "y") };
  const trace = (indices, more) => ({
    x: shownColumn(derived, x, indices), y: shownColumn(derived, y, indices),
    customdata: indices.map((index) => derived.number[index]), mode: "markers", type: "scatter", hoverinfo: "none", ...more,
  });
  const shape = derived.betterOf(x) === "minimize" ? "hv" : "vh";
  const onStairs = new Set(stairs);
  const ring = (indices, marker) => trace(indices, { marker, hoverinfo: "skip", cliponaxis: false });
  const marked = (numbers) => numbers.map((number) => derived.indexOf(number)).filter((index) => index >= 0 && isPlaced(index));
  // Not Plotly but the view keeps the zoom: Plotly would drop it when new data move the ends of the axes.
  const [zoomX, zoomY] = view.zoom ? [view.zoom.slice(0, 2), view.zoom.slice(2)] : [];
  const ranges = { x: zoomX ?? axisRange(derived, x, isLog.x), y: zoomY ?? axisRange(derived, y, isLog.y) };
  const margin = marginOf();
  const box = { width: width - margin.l - margin.r, height: height - margin.t - margin.b };
  // While a slider moves over very many trials only the front follows at once; what is behind it follows at rest.
  if (!isDragging) Object.assign(rest, behindFront(state, colors, derived.measured.filter(isPlaced), ranges, isLog, box));
  const data = [
    ...rest.traces,
    trace(stairs, { mode: "lines", line: { shape, color: colors.line, width: 1.3 }, hoverinfo: "skip" }),
    trace(front, {
      marker: frontMarker(state, colors, front, onStairs),
      ...dimmed(front, matches, 0.1),
      error_x: bars(derived, x, front, matches, colors), error_y: bars(derived, y, front, matches, colors),
    }),
    ring(marked(derived.knee < 0 ? [] : [derived.number[derived.knee]]), { symbol: "circle-open", size: 22, color: colors.knee, line: { width: 2.6 } }),
    ring(marked([0]), { symbol: "square-open", size: 16, color: colors.ink, line: { width: 1.8 } }),
    ring(marked(view.pinned), { symbol: "diamond-open", size: 22, color: colors.ink, line: { width: 1.6 } }),
    ring(marked(view.selected === null ? [] : [view.selected]), { symbol: "circle-open", size: 30, color: colors.ink, line: { width: 2 } }),
  ];
  const layout = baseLayout(colors);
  const isEmpty = derived.measured.length === 0;
  layout.margin = margin;
  layout.images = rest.image ? [rest.image] : [];
  // The pointer finds the points of a picture by itself.
  layout.hovermode = rest.image ? false : "closest";
  layout.dragmode = isNarrow() ? false : "zoom";
  const title = (name) => ({ text: plotlyText(derived.label(name)), standoff: 8 });
  for (const [letter, name] of [["x", x], ["y", y]]) {
    const range = ranges[letter];
    Object.assign(layout[`${letter}axis`], axisKind(isLog[letter], range), { title: title(name), range, showticklabels: !isEmpty });
  }
  return { data, layout };
}

// The ends of an axis hold every measured trial, whatever is filtered, so that nothing jumps while one looks around.
function axisRange(derived, name, isLog) {
  const [low, high] = derived.shownSpanOf(name);
  if (!isKnown(low)) return isLog ? [-1, 1] : [0, 1];
  const [from, to] = isLog && low > 0 ? [Math.log10(low), Math.log10(high)] : [low, high];
  const room = (to - from || Math.abs(to) * 0.1 || 1) * 0.055;
  return [from - room, to + room];
}

// What is behind the front: traces of points, or above MAX_SVG_POINTS one picture in the axes' own coordinates, which
// moves with them while one drags, is in a saved PNG, and costs nothing while a slider moves.
function behindFront(state, colors, placed, ranges, isLog, box) {
  if (placed.length <= MAX_SVG_POINTS) return { traces: restTraces(state, colors, placed), image: null, places: null };
  const { view, derived } = state;
  const axis = (letter) => ({
    column: derived.columns[view[letter]].value, scale: derived.scaleOf(view[letter]), range: ranges[letter], isLog: isLog[letter],
  });
  const { url, places } = drawCloud(placed, { x: axis("x"), y: axis("y") }, box, colors, state);
  const image = {
    source: url, layer: "below", sizing: "stretch", xref: "x", yref: "y", xanchor: "left", yanchor: "top",
    x: ranges.x[0], y: ranges.y[1], sizex: ranges.x[1] - ranges.x[0], sizey: ranges.y[1] - ranges.y[0],
  };
  return { traces: [], image, places };
}

function restTraces(state, colors, placed) {
  const { view, derived, matches } = state;
  const groups = { infeasible: [], invalid: [], feasible: [] };
  for (const index of placed) groups[derived.isInvalid(index) ? "invalid" : derived.isFeasible[index] ? "feasible" : "infeasible"].push(index);
  const size = placed.length > 600 ? 5.5 : 7;
  const trace = (indices, marker) => ({
    type: "scatter", mode: "markers", hoverinfo: "none",
    x: shownColumn(derived, view.x, indices), y: shownColumn(derived, view.y, indices),
    customdata: indices.map((index) => derived.number[index]), marker, ...dimmed(indices, matches, 0.12),
  });
  const faint = { size, color: colors.faint, opacity: 0.75, line: { width: 1.4, color: colors.faint } };
  return [
    trace(groups.infeasible, { ...faint, symbol: "x-thin" }),
    trace(groups.invalid, { ...faint, symbol: "circle-open" }),
    trace(groups.feasible, { symbol: symbolsOf(state, groups.feasible), size, color: colors.rest }),
  ];
}

// What a filter leaves out stays where it is, and pales.
function dimmed(indices, matches, opacity) {
  if (!matches) return { selectedpoints: null };
  const kept = [];
  indices.forEach((index, place) => matches[index] && kept.push(place));
  return { selectedpoints: kept, unselected: { marker: { opacity } } };
}

function bars(derived, name, indices, matches, colors) {
  const column = derived.columns[name];
  const scale = derived.scaleOf(name);
  const length = (index, end) => {
    const ends = [column.value[index], column[end]?.[index]];
    return ends.every(isKnown) && (!matches || matches[index]) ? Math.abs(ends[1] - ends[0]) * scale : 0;
  };
  return {
    type: "data", symmetric: false, color: colors.bar, thickness: 1.2, width: 0,
    array: indices.map((index) => length(index, "high")), arrayminus: indices.map((index) => length(index, "low")),
  };
}

/** What a column looks like as numbers to color or size by: values, ends, and whether in logarithms. */
function looks(derived, name, indices) {
  const column = derived.columnOf(name);
  const known = indices.map((index) => column[index]).filter(isKnown);
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const isLog = known.length > 0 && low > 0 && high / low > 8;
  const place = (value) => (isLog ? Math.log10(value) : value);
  return { low, high, isKnown: known.length > 0, isLog, values: indices.map((index) => (isKnown(column[index]) ? place(column[index]) : null)), from: place(low), to: place(high) };
}

function frontMarker(state, colors, front, onStairs) {
  const { view, derived } = state;
  const marker = {
    symbol: symbolsOf(state, front), color: colors.front, opacity: membership(derived, front),
    size: front.map((index) => (onStairs.has(index) ? FRONT_SIZE : ASIDE_SIZE)),
    line: { width: 1, color: colors.rim },
  };
  if (view.color) {
    const words = derived.wordsOf(view.color);
    if (words) marker.color = front.map((index) => colors.words[derived.columnOf(view.color)[index] % colors.words.length]);
    else {
      const found = looks(derived, view.color, front);
      if (found.isKnown) Object.assign(marker, { color: found.values, cmin: found.from, cmax: found.to, colorscale: colorScale(colors.scale), showscale: false });
    }
  }
  if (view.size) {
    const found = looks(derived, view.size, front);
    if (found.isKnown) marker.size = found.values.map((value) => (value === null ? 6 : 7 + 17 * Math.sqrt((value - found.from) / (found.to - found.from || 1))));
  }
  return marker;
}

// The less sure it is that a trial belongs to the front, the paler it is, once trials carry that probability.
function membership(derived, indices) {
  const sure = derived.trials.membership;
  return sure ? indices.map((index) => (isKnown(sure[index]) ? 0.35 + 0.65 * sure[index] : 1)) : 1;
}

function symbolsOf(state, indices) {
  const { view, derived } = state;
  if (!view.shape) return "circle";
  const kinds = derived.kindsOf(view.shape);
  const column = derived.columnOf(view.shape);
  return indices.map((index) => SYMBOLS[Math.max(0, kinds.findIndex((kind) => kind.value === column[index])) % SYMBOLS.length]);
}

function spaceFigure(state, colors) {
  const { view, derived, matches } = state;
  const axes = [view.x, view.y, view.z];
  const isPlaced = (index) => axes.every((name) => isKnown(derived.columns[name].value[index])) && (!matches || matches[index]);
  const front = derived.front.filter(isPlaced);
  const behind = derived.measured.filter((index) => derived.isFeasible[index] && !derived.isFront[index] && isPlaced(index));
  const trace = (indices, marker, hoverinfo = "none") => ({
    type: "scatter3d", mode: "markers", hoverinfo, marker, customdata: indices.map((index) => derived.number[index]),
    ...Object.fromEntries(axes.map((name, place) => ["xyz"[place], shownColumn(derived, name, indices)])),
  });
  const one = (index) => (index >= 0 && isPlaced(index) ? [index] : []);
  const flat = frontMarker(state, colors, front, new Set(front));
  const marker = { ...flat, symbol: "circle", size: 6, opacity: 1, line: { width: 0 } };
  const data = [
    trace(behind, { size: 2.5, color: colors.rest }),
    trace(front, marker),
    trace(one(derived.knee), { size: 9, color: colors.knee, symbol: "diamond-open", line: { width: 2 } }, "skip"),
    trace(one(derived.indexOf(0)), { size: 7, color: colors.ink, symbol: "square-open" }, "skip"),
    trace(view.selected === null ? [] : one(derived.indexOf(view.selected)), { size: 12, color: colors.ink, symbol: "circle-open" }, "skip"),
  ];
  const layout = baseLayout(colors);
  const scene = { camera: { eye: isNarrow() ? { x: 2, y: -2, z: 1.1 } : { x: 1.55, y: -1.55, z: 0.85 } } };
  axes.forEach((name, place) => {
    const isLog = derived.isWide(name);
    scene[`${"xyz"[place]}axis`] = {
      title: { text: spaceText(derived.label(name)) }, gridcolor: colors.axis, showbackground: false, nticks: 5, ...axisKind(isLog), color: colors.quiet, showspikes: false,
    };
  });
  return { data, layout: { ...layout, scene, uirevision: axes.join("|"), margin: { l: 0, r: 0, t: 0, b: 0 } } };
}

function plotNotes(state) {
  const { derived, matches } = state;
  const notes = [];
  const n = derived.measured.length;
  if (matches) {
    const shown = derived.measured.filter((index) => matches[index]).length;
    notes.push(`${shown.toLocaleString("en-US")} of ${n.toLocaleString("en-US")} measured trials pass the filter; the others are pale.`);
  }
  return notes;
}

// The legend is made of elements, not by Plotly: it keeps its place while data arrive, and names in it are only text.
function drawLegend(element, state, mode) {
  const { view, derived } = state;
  const colors = palette(view.theme);
  const stairs = new Set(derived.stairs(view.x, view.y));
  const aside = derived.front.filter((index) => !stairs.has(index)).length;
  const n = (number) => number.toLocaleString("en-US");
  const { feasible, infeasible, failed } = derived.counts;
  const thirds = derived.objectives.map((o) => o.metric).filter((name) => name !== view.x && name !== view.y).map((name) => derived.title(name));
  const items = [
    item(colors, "dot", `front ${n(derived.front.length)}`),
    mode === "2d" && aside ? item(colors, "small", `${n(aside)} of them only through ${thirds.join(", ") || "other objectives"}`) : null,
    item(colors, "rest", `dominated ${n(feasible - derived.front.length)}`),
    mode === "2d" ? item(colors, "cross", `infeasible ${n(infeasible)}`) : null,
    item(colors, "knee", "knee"), item(colors, "square", "baseline"),
    mode === "2d" ? item(colors, "stairs", "best of these two axes alone") : null,
    failed ? h("span", { class: "quiet" }, `${n(failed)} failed, not drawn`) : null,
  ];
  fill(element, items, colorKey(state, colors), mode === "2d" ? shapeKey(state, colors) : null);
}

function item(colors, kind, text) {
  const svg = (...shapes) => s("svg", { viewBox: "0 0 18 14", width: 18, height: 14, "aria-hidden": "true" }, shapes);
  const circle = (r, fillColor, stroke = "none") => s("circle", { cx: 9, cy: 7, r, fill: fillColor, stroke, "stroke-width": 2 });
  const drawn = {
    dot: () => circle(5.5, colors.front), small: () => circle(3.6, colors.front), rest: () => circle(3.4, colors.rest),
    cross: () => s("path", { d: "M6 4l6 6M12 4l-6 6", stroke: colors.faint, "stroke-width": 1.6 }),
    knee: () => circle(5.5, "none", colors.knee),
    square: () => s("rect", { x: 4, y: 2, width: 10, height: 10, fill: "none", stroke: colors.ink, "stroke-width": 1.7 }),
    stairs: () => s("path", { d: "M1 12h7V6h9", fill: "none", stroke: colors.line, "stroke-width": 1.5 }),
  };
  return h("span", { class: "key" }, svg(drawn[kind]()), text);
}

function colorKey(state, colors) {
  const { view, derived } = state;
  if (!view.color || !derived.front.length) return null;
  const words = derived.wordsOf(view.color);
  if (words) {
    const patches = words.map((word, place) => h("span", { class: "key" }, h("i", { class: "patch", style: { background: colors.words[place % colors.words.length] } }), word));
    return h("span", { class: "scale" }, `color: ${derived.title(view.color)}`, patches);
  }
  const found = looks(derived, view.color, derived.front);
  if (!found.isKnown) return null;
  const ramp = h("i", { class: "ramp", style: { background: `linear-gradient(90deg, ${colors.scale.join(",")})` } });
  return h("span", { class: "scale" }, `color: ${derived.label(view.color)}`, h("span", { class: "ends" }, derived.shown(view.color, found.low), ramp, derived.shown(view.color, found.high)));
}

function shapeKey(state, colors) {
  const { view, derived } = state;
  if (!view.shape) return null;
  const signs = { circle: "●", square: "■", diamond: "◆", "triangle-up": "▲", cross: "✚", star: "★", pentagon: "⬟", hourglass: "⧗" };
  const kinds = derived.kindsOf(view.shape).map((kind, place) =>
    h("span", { class: "key" }, h("i", { class: "sign", style: { color: colors.front } }, signs[SYMBOLS[place % SYMBOLS.length]]), kind.text));
  return h("span", { class: "scale" }, `shape: ${derived.title(view.shape)}`, kinds);
}

/** What a point says when it is pointed at: a heading and rows, all text. */
function showTip(tip, words, event) {
  fill(tip, h("strong", {}, words.title), words.notes.map((note) => h("span", { class: "quiet" }, note)),
    h("dl", {}, words.rows.map(([name, value, more]) => h("div", {}, h("dt", {}, name), h("dd", {}, value, more ? h("small", {}, ` ${more}`) : null)))));
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  const [x, y] = [event?.clientX ?? 0, event?.clientY ?? 0];
  const left = x + 18 + box.width > window.innerWidth ? Math.max(8, x - 18 - box.width) : x + 18;
  const top = Math.min(Math.max(8, y - box.height / 2), window.innerHeight - box.height - 8);
  tip.style.left = `${left}px`;
  tip.style.top = `${top}px`;
}

/** A trial in the words of the tooltip. */
export function describeTrial(state, number) {
  const { derived, snapshot, view } = state;
  const index = derived.indexOf(number);
  const place = derived.placeText(index, view.x, view.y);
  const rows = snapshot.parameters.map((one) => [one.title, parameterText(one, derived.trials.parameters[one.name]?.[index])]);
  for (const name of derived.usual) {
    const metric = derived.metrics.get(name);
    const value = derived.columns[name].value[index];
    if (isKnown(value)) rows.push([metric.title, valueText(metric, value), derived.gain(name, index)]);
  }
  return { title: `Trial ${number}`, notes: place, rows };
}
