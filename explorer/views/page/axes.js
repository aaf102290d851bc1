// The axes of the parallel coordinates: scales, ticks and selected ranges.
import { fill, s } from "explore/dom";
import { isKnown, shortUnit } from "explore/format";

const KEYS = "Arrow up and down narrow the range, left and right widen it, Escape clears it.";

export const HEIGHT = 340;
const TOP = 52;
const BOTTOM = 22;

/** The share of an axis at a height of the figure, 0 at its foot and 1 at its head, and the other way round. */
export const shareAt = (y) => Math.min(1, Math.max(0, (HEIGHT - BOTTOM - y) / (HEIGHT - TOP - BOTTOM)));
export const yOf = (share) => HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM);

/** An axis for every varying parameter and every usual metric that is known. */
export function makeAxes({ snapshot, derived }) {
  const axes = snapshot.parameters.map((one) => axisOf(derived, one.name, one.title, "", one.ticks));
  for (const name of derived.usual)
    axes.push(axisOf(derived, name, derived.title(name), shortUnit(derived.metrics.get(name)), null));
  return axes.filter((axis) => isKnown(axis.low));
}

function axisOf(derived, name, title, unit, ticks) {
  const [low, high] = ticks ? [0, ticks.length - 1] : derived.spanOf(name);
  const isLog = !ticks && derived.metrics.has(name) && derived.isWide(name);
  const place = (value) => (isLog ? Math.log(value) : value);
  const [from, to] = [place(low), place(high)];
  const share = (value) => (to === from ? 0.5 : (place(value) - from) / (to - from));
  const value = (part) => (isLog ? Math.exp(from + part * (to - from)) : from + part * (to - from));
  // The ends take in their own value whole, and a little more against rounding.
  const range = (start, end) => [start <= 0 ? low : value(start), end >= 1 ? high : value(end)];
  return { name, title, unit, ticks, low, high, share, range, column: derived.columnOf(name) };
}

/** Draw them into `overlay`; `grabbed` is the range that the pointer draws now. */
export function drawAxes(overlay, width, axes, { view, derived }, grabbed) {
  const focused = document.activeElement?.dataset?.axis;
  overlay.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  overlay.setAttribute("width", width);
  overlay.setAttribute("height", HEIGHT);
  fill(
    overlay,
    axes.map((axis) => {
      const range = view.brush[axis.name];
      const shares =
        grabbed?.axis.name === axis.name
          ? [Math.min(grabbed.from, grabbed.to), Math.max(grabbed.from, grabbed.to)]
          : range?.map(axis.share);
      const words = (value) => (axis.ticks ? axis.ticks[Math.round(value)] : derived.shown(axis.name, value));
      const said = range ? `from ${words(range[0])} to ${words(range[1])}` : "no range";
      return s(
        "g",
        {
          class: "axis",
          transform: `translate(${axis.left},0)`,
          tabindex: 0,
          role: "group",
          "data-axis": axis.name,
          "aria-label": `${axis.title}: ${said}. ${KEYS}`,
        },
        s("rect", { class: "grip", x: -22, y: TOP - 8, width: 44, height: HEIGHT - TOP - BOTTOM + 16 }),
        s("text", { class: "title", y: 16, "text-anchor": "middle" }, axis.title),
        axis.unit ? s("text", { class: "unit", y: 31, "text-anchor": "middle" }, axis.unit) : null,
        s("line", { y1: TOP, y2: HEIGHT - BOTTOM }),
        ticksOf(axis, words),
        shares
          ? s("rect", {
              class: "brush",
              x: -7,
              width: 14,
              y: yOf(shares[1]) - 2,
              height: yOf(shares[0]) - yOf(shares[1]) + 4,
              rx: 3,
            })
          : null,
      );
    }),
  );
  if (focused !== undefined)
    overlay.querySelector(`[data-axis="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
}

function ticksOf(axis, words) {
  const values = axis.ticks
    ? axis.ticks.map((_, index) => index)
    : axis.low === axis.high
      ? [axis.low]
      : [0, 0.5, 1].map((share) => axis.range(share, share)[share === 1 ? 1 : 0]);
  const kept = values.length > 12 ? [values[0], values[values.length - 1]] : values;
  // Without tick marks: beside a number they would read as a minus.
  return kept.map((value) => {
    const y = yOf(Math.min(1, Math.max(0, axis.share(value)))) + 4;
    const text = words(value);
    return s("text", { class: "tick-text", x: 7, y }, text.length > 13 ? `${text.slice(0, 12)}…` : text);
  });
}
