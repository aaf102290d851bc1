// The front over three metrics as a 3-D scatter plot.
import { isKnown, spaceText } from "explore/format";
import { frontMarker, shownColumn } from "explore/marks";
import { axisKind, baseLayout, isNarrow } from "explore/theme";

/** The figure: the front, the dominated trials, the knee, the baseline and the selected trial. */
export function figure3d(state, colors) {
  const { view, derived, matches } = state;
  const axes = [view.x, view.y, view.z];
  const isPlaced = (index) =>
    axes.every((name) => isKnown(derived.columns[name].value[index])) && (!matches || matches[index]);
  const front = derived.front.filter(isPlaced);
  const behind = derived.measured.filter(
    (index) => derived.isFeasible[index] && !derived.isFront[index] && isPlaced(index),
  );
  const trace = (indices, marker, hoverinfo = "none") => ({
    type: "scatter3d",
    mode: "markers",
    hoverinfo,
    marker,
    customdata: indices.map((index) => derived.number[index]),
    ...Object.fromEntries(axes.map((name, place) => ["xyz"[place], shownColumn(derived, name, indices)])),
  });
  const one = (index) => (index >= 0 && isPlaced(index) ? [index] : []);
  const flat = frontMarker(state, colors, front, new Set(front));
  const marker = { ...flat, symbol: "circle", size: 6, opacity: 1, line: { width: 0 } };
  const data = [
    trace(behind, { size: 3, color: colors.rest }),
    trace(front, marker),
    trace(one(derived.knee), { size: 13, color: colors.knee, symbol: "circle-open", line: { width: 3 } }, "skip"),
    trace(one(derived.indexOf(0)), { size: 7, color: colors.ink, symbol: "square-open" }, "skip"),
    trace(
      view.selected === null ? [] : one(derived.indexOf(view.selected)),
      { size: 18, color: colors.ink, symbol: "circle-open" },
      "skip",
    ),
  ];
  const layout = baseLayout(colors);
  const eye = isNarrow() ? { x: 2, y: -2, z: 1.1 } : { x: 1.4, y: -1.4, z: 0.8 };
  const scene = { camera: { eye, center: { x: -0.08, y: -0.08, z: -0.18 } } };
  axes.forEach((name, place) => {
    const isLog = derived.isWide(name);
    scene[`${"xyz"[place]}axis`] = {
      title: { text: spaceText(derived.label(name)) },
      gridcolor: colors.axis,
      showbackground: false,
      nticks: 5,
      ...axisKind(isLog),
      color: colors.quiet,
      showspikes: false,
    };
  });
  return { data, layout: { ...layout, scene, uirevision: axes.join("|"), margin: { l: 0, r: 0, t: 0, b: 0 } } };
}
