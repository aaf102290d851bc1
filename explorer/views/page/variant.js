// One variant whole, and two side by side: what it is, what it costs, where its time and memory go, how to export it.
import { byId, copy, fill, h, say } from "explore/dom";
import { DASH, countText, differenceText, durationText, gainSign, intervalText, isKnown, parameterText, rangeText, valueText } from "explore/format";

const MAX_BARS = 100;

/**
 * The section; `draw(state)` brings it up to date. `readTrial(number)` gives a trial's detail, `readPair(one, other)`
 * what Python finds by comparing the samples of two, the smaller number first; or null.
 */
export function makeVariant(store, readTrial, readPair) {
  const details = new Map();
  const pairs = new Map();
  let drawn = "";

  const askPair = (one, other) => {
    const key = `${one}|${other}`;
    if (pairs.has(key)) return pairs.get(key);
    pairs.set(key, null);
    const keep = (found) => {
      pairs.set(key, found);
      if (found) redraw();
    };
    // Without an answer the two intervals decide, which the table says.
    readPair(one, other).then(keep, () => pairs.delete(key));
    return null;
  };
  const redraw = () => {
    drawn = "";
    draw(store.get());
  };

  const ask = (number) => {
    if (details.has(number)) return details.get(number);
    details.set(number, { isWaiting: true });
    readTrial(number).then((detail) => ({ detail }), (error) => ({ why: `its details cannot be read: ${error.message}` })).then((found) => {
      if (found.why) details.delete(number);
      else details.set(number, found);
      drawn = "";
      draw(store.get(), found.why ? found : null);
    });
    return details.get(number);
  };

  const pin = (number) => {
    const { pinned } = store.get().view;
    store.look({ pinned: pinned.includes(number) ? pinned.filter((one) => one !== number) : [...pinned, number].slice(-2) });
  };

  function draw(state, failed = null) {
    const { view, derived, snapshot } = state;
    const index = view.selected === null ? -1 : derived.indexOf(view.selected);
    const key = JSON.stringify([view.selected, index < 0 ? -1 : derived.placeText(index, view.x, view.y), view.pinned, view.prices, derived.knee, derived.number.length > 0, derived.baseline]);
    if (key === drawn && !failed) return;
    drawn = key;
    byId("variant-empty").hidden = index >= 0 || view.selected !== null || view.pinned.length > 0;
    say(byId("variant-heading"), index >= 0 ? `Trial ${view.selected}` : view.selected !== null ? `Trial ${view.selected} is not there yet` : "One variant");
    const body = byId("variant-body");
    body.hidden = index < 0;
    if (index >= 0) {
      const found = failed ?? ask(view.selected);
      fill(body, whole(state, index, found));
    }
    drawActions(state, index, pin, store);
    drawComparison(state, pin, askPair);
  }
  return { draw: (state) => draw(state) };
}

function drawActions({ view }, index, pin, store) {
  const number = view.selected;
  const isPinned = view.pinned.includes(number);
  fill(byId("variant-actions"), index < 0 ? [] : [
    h("button", { type: "button", "aria-pressed": String(isPinned), onclick: () => pin(number) }, isPinned ? "Unpin" : "Pin to compare"),
    h("button", { type: "button", "aria-label": `Close trial ${number}`, onclick: () => store.look({ selected: null }) }, "Close"),
  ]);
}

function whole(state, index, found) {
  const { derived, view } = state;
  const { detail } = found;
  const place = derived.placeText(index, view.x, view.y);
  const left = [h("h3", {}, "Metrics"), metricsTable(state, index, detail)];
  const right = [h("h3", {}, "Variant"), parameterFacts(state, index, detail)];
  if (found.isWaiting) right.push(h("p", { class: "note" }, "Its details are being read …"));
  else if (found.why) right.push(h("p", { class: "note", role: "alert" }, found.why));
  else if (!detail) right.push(h("p", { class: "note" }, "This file holds the details of the front and of as many other trials as fit; `explore show` prints this one whole."));
  else right.push(...parts(detail));
  return [
    place.length ? h("p", { class: "place" }, sentence(place)) : null,
    detail?.command ? command(detail.command) : null,
    h("div", { class: "variant-grid" }, h("div", {}, left), h("div", {}, right)),
    detail ? facts(detail) : null,
  ];
}

const sentence = (notes) => {
  const text = notes.join("; ");
  return `${text[0].toUpperCase()}${text.slice(1)}.`;
};

function command(text) {
  const button = h("button", { type: "button", class: "main" }, "Copy");
  button.addEventListener("click", async () => {
    const isDone = await copy(text);
    say(button, isDone ? "Copied" : "Select and copy");
    say(byId("said"), isDone ? "The command is copied." : "This browser does not let pages copy.");
    setTimeout(() => say(button, "Copy"), 1600);
  });
  return h("p", { class: "command" }, h("code", { id: "export-command" }, text), button);
}

function metricsTable({ snapshot, derived }, index, detail) {
  const more = new Map((detail?.metrics ?? []).map((one) => [one.name, one]));
  const rows = snapshot.metrics.map((metric) => {
    const { value, low, high } = derived.columns[metric.name];
    const said = more.get(metric.name);
    const gain = derived.gain(metric.name, index);
    const sign = derived.baseline === null || index === derived.baseline ? 0 : gainSign(metric, value[index], derived.columns[metric.name].value[derived.baseline]);
    const isThere = isKnown(value[index]);
    if (!isThere) return h("tr", {}, h("th", { scope: "row", class: "word" }, metric.title), h("td", { colspan: 3, class: "word quiet", style: { "white-space": "normal" } }, said?.why ? `not known: ${said.why}` : "not known"));
    return h("tr", {}, h("th", { scope: "row", class: "word" }, metric.title),
      h("td", {}, valueText(metric, value[index]), h("small", {}, intervalText(metric, low[index], high[index]))),
      h("td", {}, h("span", { class: `gain ${sign > 0 ? "better" : sign < 0 ? "worse" : ""}` }, gain || DASH)),
      h("td", { class: "quiet" }, isKnown(said?.n) ? said.n.toLocaleString("en-US") : ""));
  });
  const head = h("thead", {}, h("tr", {}, h("th", { scope: "col", class: "word" }, "metric"), h("th", { scope: "col" }, "value", h("small", {}, "95 % interval")), h("th", { scope: "col" }, "against the", h("small", {}, "baseline")), h("th", { scope: "col" }, "n")));
  return h("div", { class: "scroll" }, h("table", { class: "metrics" }, head, h("tbody", {}, rows)));
}

function parameterFacts({ snapshot, derived }, index, detail) {
  const pairs = detail
    ? detail.parameters.map((one) => [one.title, one.text])
    : snapshot.parameters.map((one) => [one.title, parameterText(one, derived.trials.parameters[one.name]?.[index])]);
  return pairsList(pairs);
}

const pairsList = (pairs) => h("dl", { class: "facts" }, pairs.map(([name, text]) => h("div", {}, h("dt", {}, name), h("dd", {}, text))));

function parts(detail) {
  const { latency, exits, classes, memory, stages, why } = detail;
  const title = (text, note = "") => h("h3", {}, text, note ? h("span", { class: "quiet" }, ` ${note}`) : null);
  const percent = (share) => `${(100 * share).toFixed(1)} %`;
  const shown = [];
  const missing = [];
  const add = (name, part, words, make) => (part && part.length !== 0 ? shown.push(...make()) : why?.[name] ? missing.push(`${words}: ${why[name]}`) : null);
  add("latency", latency, "Latency distribution", () => [title("Latency", `${countText(latency.n, "query").replace("querys", "queries")}, mean ${milliseconds(latency.mean_ms)}`), histogram(latency), percentiles(latency)]);
  add("exits", exits, "Exits", () => [title("Where images leave"), bars(exits.map((one) => [`exit ${one.exit + 1}${one.exit === exits.length - 1 ? ", the last" : ""}`, one.share, `${percent(one.share)}${isKnown(one.accuracy) ? ` · ${percent(one.accuracy)} right` : ""}`]), 1)]);
  add("classes", classes, "Classes", () => [title("Accuracy per class"), bars(classes.slice(0, MAX_BARS).map((one) => [one.name, one.accuracy ?? 0, isKnown(one.accuracy) ? percent(one.accuracy) : DASH]), 1)]);
  add("memory", memory, "Memory", () => [title("Memory"), bars(memory.map((one) => [one.part, one.mib, `${one.mib.toPrecision(3)} MiB`]), memory.reduce((sum, one) => sum + one.mib, 0))]);
  add("stages", stages, "Stages", () => [title("Time to build and measure", durationText(detail.seconds ?? 0)), bars(stages.map((one) => [one.name, one.seconds, `${durationText(one.seconds)}${one.is_cached ? ", cached" : ""}`]), Math.max(...stages.map((one) => one.seconds), 1e-9))]);
  if (missing.length) shown.push(h("p", { class: "note" }, missing.map((text) => `${text}.`).join(" ")));
  return shown;
}

const milliseconds = (value) => `${value >= 100 ? Math.round(value) : value.toPrecision(3)} ms`;

function bars(rows, full) {
  return h("div", { class: "bars", role: "list" }, rows.flatMap(([name, value, text]) => [
    h("span", { class: "name", role: "listitem" }, name),
    h("span", { class: "track", "aria-hidden": "true" }, h("i", { style: { width: `${Math.min(100, (100 * value) / (full || 1))}%` } })),
    h("span", { class: "text" }, text),
  ]));
}

function histogram({ counts, edges_ms: edges, n_above: above }) {
  const most = Math.max(...counts, 1);
  return [
    h("div", { class: "histogram", role: "img", "aria-label": `Histogram of the query times from ${milliseconds(edges[0])} to ${milliseconds(edges[edges.length - 1])}` },
      counts.map((count) => h("i", { style: { height: `${(100 * count) / most}%` } }))),
    h("div", { class: "histogram-ends" }, h("span", {}, milliseconds(edges[0])), above ? h("span", {}, `${countText(above, "straggler")} beyond`) : null, h("span", {}, milliseconds(edges[edges.length - 1]))),
  ];
}

function percentiles({ percentiles: all }) {
  return h("p", { class: "note" }, all.map((one) => `p${one.percent} ${milliseconds(one.ms)}`).join(" · "));
}

function facts(detail) {
  const made = [["artifact", detail.artifact ?? DASH], ["finished", new Date(1000 * detail.finished).toLocaleString()], ...detail.violations.map((one) => [one.text, one.words])];
  const pairs = [...made, ...detail.details.map((one) => [one.name, one.text]), ...detail.provenance.map((one) => [one.name, one.text])];
  return h("details", { class: "provenance" }, h("summary", {}, "Provenance and details of this trial"), pairsList(pairs));
}

function drawComparison(state, pin, askPair) {
  const { view, derived, snapshot } = state;
  const box = byId("compare");
  const numbers = view.pinned.length === 1 && view.selected !== null && view.selected !== view.pinned[0] ? [view.pinned[0], view.selected] : view.pinned;
  const [one, other] = numbers.map((number) => derived.indexOf(number));
  box.hidden = view.pinned.length === 0;
  if (box.hidden) return;
  const unpin = view.pinned.map((number) => h("button", { type: "button", onclick: () => pin(number) }, `Unpin trial ${number}`));
  const bar = h("div", { class: "bar" }, h("h3", {}, numbers.length === 2 ? `Trial ${numbers[0]} against trial ${numbers[1]}` : `Trial ${numbers[0]} is pinned`), h("div", { class: "actions" }, unpin));
  if (numbers.length < 2 || one < 0 || other < 0) {
    fill(box, bar, h("p", { class: "empty" }, "Select or pin another trial: the two appear side by side, with their difference and whether it is more than chance."));
    return;
  }
  const parameters = snapshot.parameters.map((parameter) => {
    const [a, b] = [one, other].map((index) => parameterText(parameter, derived.trials.parameters[parameter.name]?.[index]));
    return h("tr", {}, h("th", { scope: "row", class: "word" }, parameter.title), h("td", {}, a), h("td", {}, b), h("td", { class: "quiet" }, a === b ? "the same" : ""), h("td", {}));
  });
  const [first, second] = [...numbers].sort((a, b) => a - b);
  const rows = new Map((askPair(first, second)?.metrics ?? []).map((row) => [row.name, row]));
  // At other prices the costs are this page's, not those that were stored.
  if (Object.keys(view.prices).length) rows.delete("cost_usd_per_million");
  const metrics = snapshot.metrics.map((metric) => comparison(derived, metric, one, other, numbers, rows.get(metric.name))).filter(Boolean);
  const head = ["parameter or metric", `trial ${numbers[0]}`, `trial ${numbers[1]}`, "difference", "verdict"].map((text, place) => h("th", { scope: "col", class: place ? null : "word" }, text));
  fill(box, bar, h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, head)), h("tbody", {}, parameters, metrics))),
    h("p", { class: "note" }, "The difference is the second minus the first; a tie is a difference whose 95 % interval holds 0. Where the samples of both are there, the two are compared image by image; elsewhere by their two intervals, as if they were independent."));
}

function comparison(derived, metric, one, other, numbers, said) {
  const { value, low, high } = derived.columns[metric.name];
  const [a, b] = [value[one], value[other]];
  if (!isKnown(a) && !isKnown(b)) return null;
  const cell = (index) => h("td", {}, valueText(metric, value[index]), h("small", {}, intervalText(metric, low[index], high[index])));
  const judged = said ? sampled(metric, said, numbers) : verdict(metric, [a, low[one], high[one]], [b, low[other], high[other]], numbers);
  return h("tr", {}, h("th", { scope: "row", class: "word" }, metric.title), cell(one), cell(other),
    h("td", {}, isKnown(a) && isKnown(b) ? differenceText(metric, b - a) : DASH, judged.interval ? h("small", {}, judged.interval) : null), h("td", { class: judged.isTie ? "quiet" : null, title: said?.method ?? null }, judged.text, said?.method.startsWith("paired") ? h("small", {}, "paired") : null));
}

// What Python found for the pair in rising order, turned to the order in which it is shown.
function sampled(metric, { low, high, is_tie: isTie, better }, numbers) {
  const [first, second] = [...numbers].sort((a, b) => a - b);
  const isTurned = numbers[0] !== first;
  const ends = isTurned ? [-high, -low] : [low, high];
  const interval = isKnown(low) && isKnown(high) && low !== high ? rangeText(metric, ...ends) : "";
  const text = isTie === null ? "cannot be told" : isTie ? (interval ? "a tie: it may be chance" : "the same") : `trial ${better === "second" ? second : first} is better`;
  return { text, interval, isTie: isTie !== false };
}

// Whether the second of two measurements `[value, low, high]` differs from the first by more than chance, as
// explorer/views/compare.py judges by intervals (MOVER, Zou & Donner 2008).
function verdict(metric, [a, aLow, aHigh], [b, bLow, bHigh], numbers) {
  if (!isKnown(a) || !isKnown(b)) return { text: "not known for both", interval: "", isTie: true };
  const better = b === a ? null : b > a === (metric.better === "maximize") ? numbers[1] : numbers[0];
  const won = better === null ? "the same" : `trial ${better} is better`;
  if (![aLow, aHigh, bLow, bHigh].every(isKnown)) return { text: better === null ? won : "cannot be told: no interval", interval: "", isTie: true };
  const low = b - a - Math.hypot(b - bLow, aHigh - a);
  const high = b - a + Math.hypot(bHigh - b, a - aLow);
  const isTie = low <= 0 && high >= 0;
  const interval = rangeText(metric, low, high);
  return { text: isTie ? "a tie: it may be chance" : won, interval, isTie };
}
