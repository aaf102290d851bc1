// The marks of trials: position, color, size and shape.
import { isKnown } from "explore/format";
import { OTHER_SYMBOL, SYMBOLS, colorScale } from "explore/theme";

const FRONT_SIZE = 12;
const ASIDE_SIZE = 9;

/** The values of an axis as they are shown, one a trial. */
export const shownColumn = (derived, name, indices, end = "value") => {
  const column = derived.columns[name][end];
  const scale = derived.scaleOf(name);
  return indices.map((index) => (isKnown(column[index]) ? column[index] * scale : null));
};

/** What a column looks like as numbers to color or size by: values, ends, and whether in logarithms. */
export function looks(derived, name, indices) {
  const column = derived.columnOf(name);
  const known = indices.map((index) => column[index]).filter(isKnown);
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const isLog = known.length > 0 && low > 0 && high / low > 8;
  const place = (value) => (isLog ? Math.log10(value) : value);
  return {
    low,
    high,
    isKnown: known.length > 0,
    isLog,
    values: indices.map((index) => (isKnown(column[index]) ? place(column[index]) : null)),
    from: place(low),
    to: place(high),
  };
}

/** The front's points as a marker of Plotly, as the view wants their color, size and shape. */
export function frontMarker(state, colors, front, onStairs) {
  const { view, derived } = state;
  const marker = {
    symbol: symbolsOf(state, front),
    color: colors.front,
    size: front.map((index) => (onStairs.has(index) ? FRONT_SIZE : ASIDE_SIZE)),
    line: { width: 1, color: colors.rim },
  };
  if (view.color) {
    const words = derived.wordsOf(view.color);
    if (words) {
      const column = derived.columnOf(view.color);
      marker.color = front.map((index) => wordColor(colors, column[index]));
    } else {
      const found = looks(derived, view.color, front);
      if (found.isKnown)
        Object.assign(marker, {
          color: found.values,
          cmin: found.from,
          cmax: found.to,
          colorscale: colorScale(colors.scale),
          showscale: false,
        });
    }
  }
  if (view.size) {
    const found = looks(derived, view.size, front);
    if (found.isKnown)
      marker.size = found.values.map((value) =>
        value === null ? 6 : 7 + 17 * Math.sqrt((value - found.from) / (found.to - found.from || 1)),
      );
  }
  return marker;
}

/** The color of a parameter's word by its place; the words beyond the last color share one that is of none of them. */
export const wordColor = (colors, place) => colors.words[place] ?? colors.ink;

/** Each row's symbol, one for each kind of the parameter that the view shows as shapes, and one for all others. */
export function symbolsOf(state, indices) {
  const { view, derived } = state;
  if (!view.shape) return "circle";
  const column = derived.columnOf(view.shape);
  const symbols = new Map(derived.kindsOf(view.shape).kinds.map((kind, place) => [kind.value, SYMBOLS[place]]));
  return indices.map((index) => symbols.get(column[index]) ?? OTHER_SYMBOL);
}
