// The legend of the front's figure: the meaning and the number of each mark.
import { fill, h, s } from "explore/dom";
import { looks, wordColor } from "explore/marks";
import { MAX_KINDS, OTHER_SYMBOL, SYMBOLS, palette } from "explore/theme";

const OTHERS = "other values";

/** Draw it of elements, not by Plotly: it keeps its place while data arrive, and names in it are only text. */
export function drawLegend(element, state, mode) {
  const { view, derived } = state;
  const colors = palette(view.theme);
  const stairs = new Set(derived.stairs(view.x, view.y));
  const aside = derived.front.filter((index) => !stairs.has(index)).length;
  const n = (number) => number.toLocaleString("en-US");
  const { feasible, candidates, infeasible, invalid, failed } = derived.counts;
  const near = derived.near.length;
  const dominated = candidates - derived.front.length - near;
  const behind = [
    dominated ? `dominated ${n(dominated)}` : null,
    // These have no confirmed values that could be dominated.
    feasible > candidates ? `not among the confirmed finalists ${n(feasible - candidates)}` : null,
  ].filter(Boolean);
  const isFlat = mode === "2d";
  const thirds = derived.objectives
    .map((o) => o.metric)
    .filter((name) => name !== view.x && name !== view.y)
    .map((name) => derived.title(name));
  const items = [
    derived.front.length ? item(colors, "dot", `front ${n(derived.front.length)}`) : null,
    isFlat && aside
      ? item(colors, "small", `${n(aside)} of them only through ${thirds.join(", ") || "other objectives"}`)
      : null,
    near && isFlat ? item(colors, "near", `near it ${n(near)}`) : null,
    isFlat && derived.tiePairs().length ? item(colors, "tie", "a tie") : null,
    behind.length ? item(colors, "rest", behind.join(", ")) : null,
    infeasible && isFlat ? item(colors, "cross", `infeasible ${n(infeasible)}`) : null,
    invalid && isFlat ? item(colors, "diamond", `not valid ${n(invalid)}`) : null,
    derived.knee >= 0 ? item(colors, "knee", "knee") : null,
    derived.baseline !== null ? item(colors, "square", "baseline") : null,
    isFlat && stairs.size > 1 ? item(colors, "stairs", "best of these two axes alone") : null,
    failed ? h("span", { class: "quiet" }, `${n(failed)} failed, not drawn`) : null,
  ];
  fill(element, items, colorKey(state, colors), isFlat ? shapeKey(state, colors) : null);
}

function item(colors, kind, text) {
  const svg = (...shapes) => s("svg", { viewBox: "0 0 18 14", width: 18, height: 14, "aria-hidden": "true" }, shapes);
  const circle = (r, fillColor, stroke = "none") =>
    s("circle", { cx: 9, cy: 7, r, fill: fillColor, stroke, "stroke-width": 2 });
  const drawn = {
    dot: () => circle(5.5, colors.front),
    small: () => circle(3.6, colors.front),
    near: () => circle(4.6, "none", colors.front),
    tie: () =>
      s("path", { d: "M1 7h16", stroke: colors.line, "stroke-width": 1.8, "stroke-dasharray": "2 2.5", fill: "none" }),
    diamond: () => s("path", { d: "M9 2l5 5-5 5-5-5z", fill: "none", stroke: colors.faint, "stroke-width": 1.6 }),
    rest: () => circle(3.4, colors.rest),
    cross: () => s("path", { d: "M6 4l6 6M12 4l-6 6", stroke: colors.faint, "stroke-width": 1.6 }),
    knee: () => circle(5.5, "none", colors.knee),
    square: () =>
      s("rect", { x: 4, y: 2, width: 10, height: 10, fill: "none", stroke: colors.ink, "stroke-width": 1.7 }),
    stairs: () => s("path", { d: "M1 12h7V6h9", fill: "none", stroke: colors.line, "stroke-width": 1.5 }),
  };
  return h("span", { class: "key" }, svg(drawn[kind]()), text);
}

function colorKey(state, colors) {
  const { view, derived } = state;
  if (!view.color || !derived.front.length) return null;
  const words = derived.wordsOf(view.color);
  if (words) {
    const shown = words.length > MAX_KINDS ? [...words.slice(0, MAX_KINDS), OTHERS] : words;
    const patches = shown.map((word, place) =>
      h("span", { class: "key" }, h("i", { class: "patch", style: { background: wordColor(colors, place) } }), word),
    );
    return h("span", { class: "scale" }, `color: ${derived.title(view.color)}`, patches);
  }
  const found = looks(derived, view.color, derived.front);
  if (!found.isKnown) return null;
  const ramp = h("i", { class: "ramp", style: { background: `linear-gradient(90deg, ${colors.scale.join(",")})` } });
  return h(
    "span",
    { class: "scale" },
    `color: ${derived.label(view.color)}`,
    h("span", { class: "ends" }, derived.shown(view.color, found.low), ramp, derived.shown(view.color, found.high)),
  );
}

function shapeKey(state, colors) {
  const { view, derived } = state;
  if (!view.shape) return null;
  const signs = {
    circle: "●",
    square: "■",
    diamond: "◆",
    "triangle-up": "▲",
    cross: "✚",
    star: "★",
    pentagon: "⬟",
    hourglass: "⧗",
    [OTHER_SYMBOL]: "▼",
  };
  const { kinds, hasOthers } = derived.kindsOf(view.shape);
  const key = (symbol, text) =>
    h(
      "span",
      { class: "key" },
      h("i", { class: "sign", style: { color: colors.front } }, signs[symbol]),
      text,
    );
  const keys = kinds.map((kind, place) => key(SYMBOLS[place], kind.text));
  if (hasOthers) keys.push(key(OTHER_SYMBOL, OTHERS));
  return h("span", { class: "scale" }, `shape: ${derived.title(view.shape)}`, keys);
}
