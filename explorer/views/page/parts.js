// Parts of one variant: its query times, exits, classes, memory, and where the time went.
import { h } from "explore/dom";
import { DASH, countText, durationText, isKnown } from "explore/format";

const MAX_BARS = 100;

/** Whatever the stored data have of these, as elements; what they lack is said at the end. */
export function parts(detail) {
  const { latency, exits, classes, memory, stages, why } = detail;
  const title = (text, note = "") => h("h3", {}, text, note ? h("span", { class: "quiet" }, ` ${note}`) : null);
  const percent = (share) => `${(100 * share).toFixed(1)} %`;
  const shown = [];
  const missing = [];
  const add = (name, part, words, make) =>
    part && part.length !== 0 ? shown.push(...make()) : why?.[name] ? missing.push(`${words}: ${why[name]}`) : null;
  add("latency", latency, "Latency distribution", () => [
    title(
      "Latency",
      `${countText(latency.n, "query").replace("querys", "queries")}, mean ${milliseconds(latency.mean_ms)}`,
    ),
    ...histogram(latency),
    percentiles(latency),
  ]);
  add("exits", exits, "Exits", () => [
    title("Where images leave"),
    bars(
      exits.map((one) => [
        `exit ${one.exit + 1}${one.exit === exits.length - 1 ? ", the last" : ""}`,
        one.share,
        `${percent(one.share)}${isKnown(one.accuracy) ? ` · ${percent(one.accuracy)} right` : ""}`,
      ]),
      1,
    ),
  ]);
  add("classes", classes, "Classes", () => [
    title("Accuracy per class"),
    bars(
      classes
        .slice(0, MAX_BARS)
        .map((one) => [one.name, one.accuracy ?? 0, isKnown(one.accuracy) ? percent(one.accuracy) : DASH]),
      1,
    ),
  ]);
  add("memory", memory, "Memory", () => [
    title("Memory"),
    bars(
      memory.map((one) => [one.part, one.mib, `${one.mib.toPrecision(3)} MiB`]),
      memory.reduce((sum, one) => sum + one.mib, 0),
    ),
  ]);
  add("stages", stages, "Stages", () => [
    title("Time to build and measure", durationText(detail.seconds ?? 0)),
    bars(
      stages.map((one) => [one.name, one.seconds, `${durationText(one.seconds)}${one.is_cached ? ", cached" : ""}`]),
      Math.max(...stages.map((one) => one.seconds), 1e-9),
    ),
  ]);
  if (missing.length) shown.push(h("p", { class: "note" }, missing.map((text) => `${text}.`).join(" ")));
  return shown;
}

const milliseconds = (value) => `${value >= 100 ? Math.round(value) : value.toPrecision(3)} ms`;

/** Rows `[name, value, text]` as bars; `full` is the value of a whole one. */
export function bars(rows, full) {
  return h(
    "div",
    { class: "bars", role: "list" },
    rows.flatMap(([name, value, text]) => [
      h("span", { class: "name", role: "listitem" }, name),
      h(
        "span",
        { class: "track", "aria-hidden": "true" },
        h("i", { style: { width: `${Math.min(100, (100 * value) / (full || 1))}%` } }),
      ),
      h("span", { class: "text" }, text),
    ]),
  );
}

function histogram({ counts, edges_ms: edges, n_above: above }) {
  const most = Math.max(...counts, 1);
  const [first, last] = [edges[0], edges[edges.length - 1]].map(milliseconds);
  return [
    h(
      "div",
      { class: "histogram", role: "img", "aria-label": `Histogram of the query times from ${first} to ${last}` },
      counts.map((count) => h("i", { style: { height: `${(100 * count) / most}%` } })),
    ),
    h(
      "div",
      { class: "histogram-ends" },
      h("span", {}, first),
      above ? h("span", {}, `${countText(above, "straggler")} beyond`) : null,
      h("span", {}, last),
    ),
  ];
}

function percentiles({ percentiles: all }) {
  return h("p", { class: "note" }, all.map((one) => `p${one.percent} ${milliseconds(one.ms)}`).join(" · "));
}
