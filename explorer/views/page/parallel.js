// Parallel coordinates: each measured trial is a line through its parameters and metrics; ranges filter the page.
import { HEIGHT, drawAxes, makeAxes, shareAt, yOf } from "explore/axes";
import { byId, h, s } from "explore/dom";
import { isKnown } from "explore/format";
import { palette } from "explore/theme";

const SIDE = 56;
const MIN_GAP = 104;
// More lines than this are one gray surface: of those behind the front every n-th is drawn.
const MAX_LINES = 3000;
const KEY_STEP = 0.05;

/** The figure; `draw(state)` brings it up to date. */
export function makeParallel(store) {
  const host = byId("parallel");
  const canvas = h("canvas", { "aria-hidden": "true" });
  const overlay = s("svg", { role: "group", "aria-label": "Axes of the parallel coordinates; each takes a range" });
  const inner = h("div", { class: "parallel-inner" }, canvas, overlay);
  host.append(inner);
  let last = null;
  let grabbed = null;

  const setBrush = (name, range) => {
    const brush = { ...store.get().view.brush };
    if (range === null) delete brush[name];
    else brush[name] = range.map((end) => Number(end.toPrecision(7)));
    store.look({ brush });
  };

  const draw = (state) => {
    last = state;
    const { derived } = state;
    const axes = makeAxes(state);
    const isUseful = derived.measured.length > 0 && axes.length > 1;
    byId("parallel-empty").hidden = isUseful;
    host.hidden = !isUseful;
    if (!isUseful) return;
    const width = Math.max(host.clientWidth, SIDE * 2 + MIN_GAP * (axes.length - 1));
    axes.forEach((axis, place) => (axis.left = SIDE + ((width - 2 * SIDE) * place) / (axes.length - 1)));
    inner.style.width = `${width}px`;
    drawLines(canvas, width, axes, state);
    drawAxes(overlay, width, axes, state, grabbed);
  };

  const axisAt = (event) => {
    const box = overlay.getBoundingClientRect();
    const axes = makeAxes(last);
    const gap = (box.width - 2 * SIDE) / (axes.length - 1);
    const place = Math.round((event.clientX - box.left - SIDE) / gap);
    const isNear = Math.abs(event.clientX - box.left - SIDE - place * gap) < 22;
    return isNear && axes[place] ? { axis: axes[place], share: shareAt(event.clientY - box.top) } : null;
  };
  overlay.addEventListener("pointerdown", (event) => {
    const found = axisAt(event);
    if (!found) return;
    grabbed = { axis: found.axis, from: found.share, to: found.share };
    overlay.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  overlay.addEventListener("pointermove", (event) => {
    if (!grabbed) return;
    grabbed.to = shareAt(event.clientY - overlay.getBoundingClientRect().top);
    draw(last);
  });
  const release = () => {
    if (!grabbed) return;
    const { axis, from, to } = grabbed;
    grabbed = null;
    const isClick = Math.abs(from - to) < 0.02;
    setBrush(axis.name, isClick ? null : axis.range(Math.min(from, to), Math.max(from, to)));
    draw(store.get());
  };
  overlay.addEventListener("pointerup", release);
  overlay.addEventListener("pointercancel", () => ((grabbed = null), draw(last)));
  overlay.addEventListener("keydown", (event) => {
    const name = event.target.dataset?.axis;
    if (name === undefined) return;
    const axis = makeAxes(last).find((one) => one.name === name);
    const range = last.view.brush[name];
    const [low, high] = range ? range.map((value) => Math.min(1, Math.max(0, axis.share(value)))) : [0, 1];
    const moves = {
      ArrowUp: [low + KEY_STEP, high],
      ArrowDown: [low, high - KEY_STEP],
      ArrowRight: [low, high + KEY_STEP],
      ArrowLeft: [low - KEY_STEP, high],
    };
    if (event.key === "Escape" || event.key === "Delete") setBrush(name, null);
    else if (event.key in moves) {
      const [from, to] = moves[event.key].map((share) => Math.min(1, Math.max(0, share)));
      if (from < to) setBrush(name, from === 0 && to === 1 ? null : axis.range(from, to));
    } else return;
    event.preventDefault();
  });
  new ResizeObserver(() => last && draw(last)).observe(host);
  return { draw };
}

function drawLines(canvas, width, axes, { view, derived, matches }) {
  const ratio = window.devicePixelRatio || 1;
  const colors = palette(view.theme);
  canvas.width = width * ratio;
  canvas.height = HEIGHT * ratio;
  canvas.style.width = `${width}px`;
  canvas.style.height = `${HEIGHT}px`;
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  const passes = (index) => !matches || matches[index];
  const behind = derived.measured.filter((index) => derived.isFeasible[index] && !derived.isFront[index]);
  const step = Math.max(1, Math.ceil(behind.length / MAX_LINES));
  const some = behind.filter((_, place) => place % step === 0);
  const layers = [
    [some.filter((index) => !passes(index)), colors.grid, 1, 0.7],
    [some.filter(passes), colors.rest, 1, some.length > 400 ? 0.4 : 0.85],
    [derived.front.filter((index) => !passes(index)), colors.front, 1, 0.12],
    [derived.front.filter(passes), colors.front, 1.6, 0.85],
    [derived.knee >= 0 ? [derived.knee] : [], colors.knee, 2.6, 1],
    [view.selected === null ? [] : [derived.indexOf(view.selected)].filter((index) => index >= 0), colors.ink, 2.6, 1],
  ];
  for (const [indices, color, thickness, opacity] of layers) {
    Object.assign(context, { strokeStyle: color, lineWidth: thickness, globalAlpha: opacity, lineJoin: "round" });
    for (const index of indices) line(context, axes, index);
  }
}

function line(context, axes, index) {
  let isDown = false;
  context.beginPath();
  for (const axis of axes) {
    const value = axis.column[index];
    if (!isKnown(value)) isDown = false;
    else if (isDown) context.lineTo(axis.left, yOf(axis.share(value)));
    else {
      context.moveTo(axis.left, yOf(axis.share(value)));
      isDown = true;
    }
  }
  context.stroke();
}
