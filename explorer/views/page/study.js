// The study: how far it is, how its hypervolume grew, what each parameter explains, and what failed and why.
/* global Plotly */
import { h, fill, say, byId } from "explore/dom";
import { countText, durationText, isKnown } from "explore/format";
import { boxVolume, hypervolumeHistory } from "explore/front";
import { binned, explainedShare } from "explore/importance";
import { baseLayout, isNarrow, palette, plotConfig } from "explore/theme";

const MAX_FAILURES = 200;
// Below this many measured trials a share says more about chance than about the parameter.
const MIN_TRIALS = 12;

/** The section; `draw(state, changed)` brings it up to date. */
export function makeStudy(onSelect) {
  let history = { key: null, values: [] };
  return {
    draw(state) {
      const { snapshot, view, derived } = state;
      if (history.key !== snapshot) history = { key: snapshot, ...historyOf(state) };
      drawHistory(history, palette(view.theme));
      drawImportance(state);
      drawFailures(state, onSelect);
    },
  };
}

/** The status line: what is happening, how far it is, how long it will take. */
export function drawStatus(state) {
  const { snapshot, live, connection, derived } = state;
  const n = derived.number.length;
  const status = live?.status ?? "finished";
  const isRunning = status === "running" && connection !== "file";
  document.body.dataset.status = connection === "lost" ? "lost" : isRunning ? "running" : status;
  const total = Math.max(snapshot.n_trials ?? 0, n);
  const words = { running: "running", finished: "finished", interrupted: "interrupted; `explore start` resumes it" };
  say(byId("status-word"), connection === "lost" ? "connection lost" : connection === "file" ? "report" : words[status] ?? status);
  const parts = [isRunning || n < total ? `${n.toLocaleString("en-US")} of ${countText(total, "trial")}` : countText(n, "trial")];
  if (isRunning && isKnown(live.seconds_left)) parts.push(`about ${durationText(live.seconds_left)} left`);
  say(byId("status-count"), parts.join(", "));
  const { progress, running } = live ?? {};
  const share = progress && progress.total ? ` ${Math.round((100 * progress.done) / progress.total)} %` : "";
  const now = [progress ? `${progress.stage}${share}` : "", running ? `trial ${running.trial}: ${running.variant}` : "", progress?.note ?? ""];
  say(byId("status-now"), isRunning ? now.filter(Boolean).join(" · ") : "");
  byId("status-now").hidden = !isRunning;
  const bar = byId("status-bar");
  bar.hidden = !isRunning;
  bar.max = total || 1;
  bar.value = n;
}

function historyOf({ snapshot }) {
  const { objectives, trials, reference_point: reference, ideal_point: ideal } = snapshot;
  if (!reference || !trials.number.length) return { values: [], isShare: false };
  const columns = objectives.map((one) => trials.metrics[one.metric]?.value ?? []);
  const directions = objectives.map((one) => one.direction);
  const corner = objectives.map((one) => reference[one.metric]);
  const mask = Uint8Array.from(trials.state, (state, index) => (state === 0 && columns.every((column) => isKnown(column[index])) ? 1 : 0));
  const values = hypervolumeHistory(columns, directions, corner, mask) ?? [];
  const box = ideal ? boxVolume(objectives.map((one) => ideal[one.metric]), directions, corner) : 0;
  return { values: box > 0 ? values.map((value) => (100 * value) / box) : values, isShare: box > 0 };
}

function drawHistory(history, colors) {
  const element = byId("plot-history");
  const { values, isShare } = history;
  byId("history-empty").hidden = values.length > 0;
  element.hidden = values.length === 0;
  say(byId("history-now"), values.length ? `${values[values.length - 1].toPrecision(3)}${isShare ? " %" : ""} after ${countText(values.length, "trial")}` : "");
  if (!values.length) return;
  // A line of stairs needs only its corners.
  const kept = values.map((_, index) => index).filter((index) => index === 0 || index === values.length - 1 || values[index] !== values[index - 1]);
  const layout = baseLayout(colors);
  Object.assign(layout, { uirevision: "history", margin: { l: 52, r: 10, t: 8, b: 44 }, dragmode: isNarrow() ? false : "zoom" });
  Object.assign(layout.xaxis, { title: { text: "finished trials", standoff: 6 } });
  Object.assign(layout.yaxis, { title: { text: isShare ? "hypervolume [%]" : "hypervolume", standoff: 6 }, rangemode: "tozero" });
  const trace = {
    type: "scatter", mode: "lines", x: kept.map((index) => index + 1), y: kept.map((index) => values[index]),
    line: { shape: "hv", color: colors.front, width: 2 }, fill: "tozeroy", fillcolor: colors.wash,
    hovertemplate: `after %{x} trials: %{y:.2f}${isShare ? " %" : ""}<extra></extra>`, hoverlabel: { bgcolor: colors.paper, bordercolor: colors.axis, font: { color: colors.ink } },
  };
  Plotly.react(element, [trace], layout, { ...plotConfig, displayModeBar: false });
}

function drawImportance({ snapshot, derived }) {
  const trials = derived.measured;
  const isUseful = trials.length >= MIN_TRIALS && snapshot.parameters.length > 0;
  byId("importance-empty").hidden = isUseful;
  const table = byId("importance");
  table.hidden = !isUseful;
  if (!isUseful) return;
  const metrics = snapshot.objectives.map((objective) => derived.metrics.get(objective.metric)).filter(Boolean);
  const share = (parameter, metric) => {
    const column = derived.columnOf(parameter.name);
    const known = trials.filter((index) => isKnown(derived.columns[metric.name].value[index]) && isKnown(column[index]));
    const kinds = known.map((index) => column[index]);
    return explainedShare(known.map((index) => derived.columns[metric.name].value[index]), parameter.ticks ? kinds : binned(kinds));
  };
  const rows = snapshot.parameters.map((parameter) => ({ parameter, shares: metrics.map((metric) => share(parameter, metric)) }));
  rows.sort((a, b) => Math.max(...b.shares.map(Number)) - Math.max(...a.shares.map(Number)));
  fill(table,
    h("thead", {}, h("tr", {}, h("th", { scope: "col", class: "word" }, "parameter"), metrics.map((metric) => h("th", { scope: "col", class: "word" }, metric.title)))),
    h("tbody", {}, rows.map((row) => h("tr", {}, h("th", { scope: "row", class: "word" }, row.parameter.title), row.shares.map((part) => {
      const percent = part === null ? null : Math.round(100 * part);
      return h("td", { class: "word" }, h("span", { class: "meter" }, h("i", { style: { width: `${percent ?? 0}%` } })), h("span", { class: "number" }, percent === null ? "–" : `${percent} %`));
    })))));
}

function drawFailures({ snapshot, derived }, onSelect) {
  const { trials } = derived;
  const found = derived.number.map((number, index) => ({ number, index })).filter(({ index }) => trials.state[index] !== 0);
  const groups = new Map();
  for (const { number, index } of found) {
    const reason = snapshot.reasons[number] ?? "no reason was given";
    const key = `${trials.state[index]}|${trials.state[index] === 1 ? reason.replace(/[\d.,]+/g, "#") : reason}`;
    if (!groups.has(key)) groups.set(key, { state: trials.state[index] === 1 ? "infeasible" : "failed", reason, numbers: [] });
    groups.get(key).numbers.push(number);
  }
  byId("failures-empty").hidden = groups.size > 0;
  const kinds = [...groups.values()].sort((a, b) => (a.state === b.state ? b.numbers.length - a.numbers.length : a.state === "failed" ? -1 : 1));
  const buttons = (numbers) => numbers.slice(0, 12).map((number) => h("button", { type: "button", class: "link", onclick: () => onSelect(number) }, String(number)));
  fill(byId("failures"), kinds.slice(0, MAX_FAILURES).map((kind) => h("li", {},
    h("span", { class: `state ${kind.state}` }, kind.state), h("span", { class: "reason" }, kind.reason, kind.state === "infeasible" && kind.numbers.length > 1 ? " (and alike)" : ""),
    h("span", { class: "quiet" }, kind.numbers.length === 1 ? "trial " : `${countText(kind.numbers.length, "trial")}: `, buttons(kind.numbers), kind.numbers.length > 12 ? ` and ${kind.numbers.length - 12} more` : ""))));
}
