// The figure of the front in 2-D or 3-D, and the selection of trials by the pointer.
/* global Plotly */
import { byId, say } from "explore/dom";
import { nearestRow } from "explore/cloud";
import { MAX_SVG_POINTS, figure2d, marginOf } from "explore/front_2d";
import { isKnown, thousands } from "explore/format";
import { drawLegend } from "explore/legend";
import { axisRange, isLogAxis } from "explore/ranges";
import { figure3d } from "explore/front_3d";
import { hasWebGL, isNarrow, palette, plotConfig } from "explore/theme";
import { showTooltip } from "explore/tooltip";

const MOVED_PX = 5;
// While a window is being resized a large study is drawn so often: it takes too long for every frame.
const RESIZED_MS = 100;

/** The front's figure: `draw(state)` brings it up to date, the pointer selects; `onZoom` gets a part of the view. */
export function makeFrontPlot(onSelect, onZoom, describe) {
  const element = byId("plot-front");
  const tip = byId("tip");
  let isConnected = false;
  let shownMode = "";
  const rest = { traces: [], image: null, places: null };
  let last = null;

  // A large study's points are no elements: the pointer finds them by their places.
  const found = (event) => {
    if (!rest.places || !last || shownMode !== "2d") return -1;
    const box = element.getBoundingClientRect();
    const margin = marginOf();
    return nearestRow(
      rest.places,
      event.clientX - box.left - margin.l,
      event.clientY - box.top - margin.t,
      last.derived.isFront,
    );
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
    if (!rest.places || pressed || shownMode !== "2d") return;
    const row = found(event);
    if (row >= 0) showTooltip(tip, describe(last.derived.number[row]), event);
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
      if (trial !== undefined) showTooltip(tip, describe(trial), event.event);
    });
    element.on("plotly_unhover", () => (tip.hidden = true));
    element.on("plotly_relayout", (event) => {
      const names = Object.keys(event);
      if (names.some((name) => name.endsWith("axis.autorange"))) onZoom({ zoom: null });
      else if (names.some((name) => /^[xy]axis\.range/.test(name))) {
        const { xaxis, yaxis } = element.layout;
        const zoom = [...xaxis.range, ...yaxis.range].map((end) => Number(end.toPrecision(6)));
        // On an axis of the other kind the same numbers lie elsewhere: the kinds stay, whatever trials come.
        onZoom({ zoom, isLogX: xaxis.type === "log", isLogY: yaxis.type === "log" });
      }
    });
  };

  const plot = {
    draw(state, isDragging) {
      const { view, derived } = state;
      last = state;
      const mode = view.mode === "3d" && view.z && hasWebGL() ? "3d" : "2d";
      const note =
        mode === "2d" && view.mode === "3d"
          ? "The view in space needs WebGL, which is switched off in this browser."
          : "";
      byId("plot-empty").hidden = derived.measured.length > 0;
      if (derived.number.length)
        say(byId("plot-empty"), "The first point appears with the first trial that has a result.");
      say(byId("plot-note"), [note, ...plotNotes(state, mode)].filter(Boolean).join(" "));
      drawLegend(byId("plot-legend"), state, mode);
      const colors = palette(view.theme);
      const figure =
        mode === "3d"
          ? figure3d(state, colors)
          : figure2d(state, colors, rest, isDragging, element.clientWidth, element.clientHeight);
      if (shownMode !== mode && shownMode) {
        Plotly.purge(element);
        isConnected = false;
      }
      shownMode = mode;
      Plotly.react(element, figure.data, figure.layout, {
        ...plotConfig,
        displayModeBar: isNarrow() ? false : "hover",
      });
      if (!isConnected) connect();
      isConnected = true;
    },
    isLarge: (state) => state.derived.measured.length > MAX_SVG_POINTS,
  };
  new ResizeObserver(() => {
    if (!rest.places || shownMode !== "2d") return;
    // The points have moved: until they are redrawn the pointer finds none, so that it never finds a wrong one.
    rest.places = null;
    tip.hidden = true;
    setTimeout(() => plot.draw(last, false), RESIZED_MS);
  }).observe(element);
  return plot;
}

function plotNotes(state, mode) {
  const { view, derived, matches, snapshot } = state;
  const notes = confirmationNotes(snapshot, derived);
  const isFlat = mode === "2d";
  const n = derived.measured.length;
  if (matches) {
    const shown = derived.measured.filter((index) => matches[index]).length;
    const others = isFlat ? "pale" : "left out";
    notes.push(`${thousands(shown)} of ${thousands(n)} measured trials pass the filter; the others are ${others}.`);
  }
  // In space there is no room for what can be on no front.
  const outside = () => (view.zoom ? [] : beyond(view, derived));
  const absent = isFlat ? outside() : derived.measured.filter((index) => !derived.isFeasible[index]);
  const what = absent.some(derived.isInvalid) ? "break a constraint or are not valid" : "break a constraint";
  const where = isFlat ? "lie outside the picture; zoom out to see them" : "are left out of the view in space";
  if (absent.length) notes.push(`${thousands(absent.length)} that ${what} ${where}.`);
  return notes;
}

// Where the values come from: confirmed or the search's.
function confirmationNotes(snapshot, derived) {
  const { confirmation } = derived;
  if (snapshot.confirmation?.is_stale)
    return ["These are the search's values: the confirmation is older than some trials (`explore confirm` renews it)."];
  if (!confirmation) return [];
  const rounds =
    `Confirmed in ${confirmation.n_rounds} rounds of fresh processes; ` +
    "what is no finalist keeps the search's values.";
  const isFallback = derived.front.length > 0 && !derived.front.some(derived.isConfirmed);
  return isFallback ? [rounds, "No finalist is within these limits: this front is of the search's values."] : [rounds];
}

let lastBeyond = { key: [], rows: [] };

// The trials that lie beyond the ends of the axes, as they are without a zoom; limits do not change them.
function beyond(view, derived) {
  const axes = ["x", "y"].map((letter) => {
    const isLog = isLogAxis(view, derived, letter);
    const ends = axisRange(derived, view[letter], isLog).map((end) => (isLog ? 10 ** end : end));
    const [low, high] = ends.map((end) => end / derived.scaleOf(view[letter]));
    return { values: derived.columns[view[letter]].value, low, high };
  });
  const key = [derived.measured, ...axes.flatMap(({ values, low, high }) => [values, low, high])];
  if (key.some((one, place) => one !== lastBeyond.key[place])) {
    const isBeyond = (index) => axes.some(({ values, low, high }) => values[index] < low || values[index] > high);
    lastBeyond = { key, rows: derived.measured.filter(isBeyond) };
  }
  return lastBeyond.rows;
}
