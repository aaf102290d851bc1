// The cloud: the trials behind a large study's front, drawn on a canvas without WebGL.
import { isKnown } from "explore/format";

// A point answers the pointer up to this far.
const REACH_PX = 9;
const PALE = 0.1;

/**
 * The picture of `indices` in a plot of `box` {width, height} pixels between the ends of `axes` (x and y, each
 * {column, scale, range, isLog}), as a data: URL, and where each point is on it.
 */
export function drawCloud(indices, axes, box, colors, { derived, matches }) {
  const canvas = document.createElement("canvas");
  const ratio = Math.min(2, window.devicePixelRatio || 1);
  canvas.width = Math.max(1, Math.round(box.width * ratio));
  canvas.height = Math.max(1, Math.round(box.height * ratio));
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  const places = { rows: [], x: [], y: [] };
  const [toX, toY] = [places1d(axes.x, box.width), places1d(axes.y, box.height)];
  for (const index of indices) {
    const x = toX(index);
    const y = box.height - toY(index);
    if (!(x >= -4 && x <= box.width + 4 && y >= -4 && y <= box.height + 4)) continue;
    places.rows.push(index);
    places.x.push(x);
    places.y.push(y);
  }
  const kindOf = (index) =>
    derived.isInvalid(index) ? "invalid" : derived.isFeasible[index] ? "feasible" : "infeasible";
  const layers = [
    ["infeasible", colors.faint, drawCross],
    ["invalid", colors.faint, drawDiamond],
    ["feasible", colors.rest, drawDot],
  ];
  for (const [kind, color, mark] of layers) {
    Object.assign(context, { fillStyle: color, strokeStyle: color, lineWidth: 1 });
    for (const isKept of [false, true]) {
      context.globalAlpha = (kind === "feasible" ? 0.75 : 0.6) * (isKept ? 1 : PALE);
      context.beginPath();
      places.rows.forEach((index, place) => {
        if (kindOf(index) !== kind || (!matches || matches[index] === 1) !== isKept) return;
        mark(context, places.x[place], places.y[place]);
      });
      if (kind === "feasible") context.fill();
      else context.stroke();
    }
  }
  return { url: canvas.toDataURL(), places };
}

/** The row nearest to a pixel of the plot, those of `first` before all others; −1 when none is near. */
export function nearestRow(places, x, y, isFirst) {
  let [best, least] = [-1, REACH_PX ** 2];
  for (let place = 0; place < places.rows.length; place += 1) {
    const gap = (places.x[place] - x) ** 2 + (places.y[place] - y) ** 2;
    // What is drawn larger is also reached from farther away.
    const weighed = isFirst[places.rows[place]] ? gap / 4 : gap;
    if (weighed < least) [best, least] = [places.rows[place], weighed];
  }
  return best;
}

function places1d({ column, scale, range, isLog }, length) {
  const [from, to] = range;
  return (index) => {
    const value = column[index];
    if (!isKnown(value)) return NaN;
    const shown = isLog ? Math.log10(value * scale) : value * scale;
    return ((shown - from) / (to - from)) * length;
  };
}

function drawDot(context, x, y) {
  context.rect(x - 1.6, y - 1.6, 3.2, 3.2);
}

function drawCross(context, x, y) {
  context.moveTo(x - 2, y - 2);
  context.lineTo(x + 2, y + 2);
  context.moveTo(x + 2, y - 2);
  context.lineTo(x - 2, y + 2);
}

function drawDiamond(context, x, y) {
  context.moveTo(x, y - 2.6);
  context.lineTo(x + 2.6, y);
  context.lineTo(x, y + 2.6);
  context.lineTo(x - 2.6, y);
  context.closePath();
}
