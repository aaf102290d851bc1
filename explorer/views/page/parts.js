// Parts of the variant sheet: query times, the sections of the study's task, memory, and the time of each stage.
import { h } from "explore/dom";
import { countText, durationText } from "explore/format";

const MAX_ROWS = 100;

/** Elements for the parts that the stored data have; the reasons of missing ones come last. */
export function parts(detail) {
  const { latency, sections, memory, stages, why } = detail;
  const title = (text, note = "") => h("h3", {}, text, note ? h("span", { class: "quiet" }, ` ${note}`) : null);
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
  for (const section of sections) shown.push(title(section.title), drawn(section));
  for (const name of Object.keys(why).filter((one) => !["latency", "memory"].includes(one)))
    missing.push(`${name[0].toUpperCase()}${name.slice(1)}: ${why[name]}`);
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

// A section of explorer.views.page.detail: bars with further cells behind each, or a table.
function drawn({ kind, columns, rows, shares }) {
  const some = rows.slice(0, MAX_ROWS);
  if (kind === "bars")
    return bars(
      some.map(([name, share, ...more], row) => [
        name,
        shares[row] ?? 0,
        [share, ...more.map((cell, place) => `${columns[place + 2]} ${cell}`)].join(" · "),
      ]),
      1,
    );
  const line = (tag, cells) => h("tr", {}, cells.map((cell) => h(tag, { class: "word" }, cell)));
  return h("table", { class: "metrics" }, line("th", columns), some.map((cells) => line("td", cells)));
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
