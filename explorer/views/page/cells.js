// The columns of the table: headings, sort keys and cells.
import { shareText } from "explore/confirmed";
import { h } from "explore/dom";
import { durationText, intervalText, isKnown, numberText, parameterText, shortUnit } from "explore/format";

const STATES = ["front", "near", "feasible", "infeasible", "invalid", "failed"];

/** Number and state, every parameter, every measured metric, and the time that the trial took. */
export function makeColumns({ snapshot, derived }) {
  const columns = [
    { key: "trial", title: "trial", unit: "", width: 78, value: (index) => derived.number[index] },
    {
      key: "state",
      title: "state",
      unit: "",
      width: 112,
      isWord: true,
      value: (index) => STATES.indexOf(derived.stateOf(index)),
    },
  ];
  if (derived.confirmation)
    columns.push({ key: "membership", title: "on front", unit: "", width: 112, value: derived.probability });
  for (const one of snapshot.parameters) {
    const longest = Math.max(one.title.length, ...(one.ticks ?? []).map((tick) => Math.min(22, tick.length)));
    columns.push({
      key: one.name,
      title: one.title,
      unit: "",
      width: 30 + 8.2 * Math.max(6, longest),
      isWord: true,
      parameter: one,
      value: (index) => derived.columnOf(one.name)[index],
    });
  }
  for (const metric of derived.tableMetrics) {
    columns.push({
      key: metric.name,
      title: metric.title,
      unit: shortUnit(metric),
      width: 30 + 8.2 * Math.max(12.5, metric.title.length),
      metric,
      value: (index) => derived.columns[metric.name].value[index],
    });
    if (metric.name === derived.quality && derived.confirmation)
      columns.push({
        key: "test_accuracy",
        title: `test ${metric.title}`,
        unit: shortUnit(metric),
        width: 150,
        metric,
        value: (index) => derived.testAccuracy(index)?.value ?? null,
      });
  }
  columns.push({
    key: "seconds",
    title: "time",
    unit: "",
    width: 110,
    value: (index) => derived.trials.seconds[index],
    isTime: true,
  });
  return columns;
}

/** A column's heading, which sorts. */
export function headOf(store, column, view) {
  const isSorted = view.sort === column.key;
  const turn = () =>
    store.look({ sort: column.key, isDown: store.get().view.sort === column.key ? !store.get().view.isDown : false });
  return h(
    "th",
    {
      scope: "col",
      class: column.isWord ? "word" : null,
      "aria-sort": isSorted ? (view.isDown ? "descending" : "ascending") : "none",
    },
    h("button", { type: "button", onclick: turn }, column.title),
    column.unit ? h("small", {}, column.unit) : null,
  );
}

/** What a trial's row shows in that column. */
export function tableCell({ derived, snapshot }, column, index, group) {
  const { trials } = derived;
  if (column.key === "trial") {
    const mark = index === derived.knee ? " ★" : derived.number[index] === 0 ? " □" : "";
    const words = index === derived.knee ? "the knee" : derived.number[index] === 0 ? "the baseline" : null;
    return h(
      "th",
      { scope: "row" },
      String(derived.number[index]),
      mark ? h("span", { title: words, "aria-label": words, role: "img" }, mark) : null,
    );
  }
  if (column.key === "state") {
    const reason = snapshot.reasons[derived.number[index]];
    return h("td", { class: "word" }, h("span", { class: `state ${group}`, title: reason ?? null }, group));
  }
  if (column.parameter)
    return h(
      "td",
      { class: "word", title: parameterText(column.parameter, trials.parameters[column.key]?.[index]) },
      parameterText(column.parameter, trials.parameters[column.key]?.[index]),
    );
  if (column.key === "membership") {
    const sure = derived.probability(index);
    const ties = derived.tiesOf(index);
    const marked = ties.length ? h("small", {}, `= ${ties.join(", ")}`) : null;
    return h("td", {}, sure === null ? "" : shareText(sure), marked);
  }
  if (column.isTime)
    return h(
      "td",
      {},
      durationText(trials.seconds[index]),
      trials.is_cached?.[index] ? h("small", {}, "from the cache") : null,
    );
  const isTest = column.key === "test_accuracy";
  const { value, low, high } = (isTest ? derived.testAccuracy(index) : derived.measurement(column.key, index)) ?? {};
  if (isTest && !isKnown(value)) return h("td", {});
  const interval = intervalText(column.metric, low, high);
  return h("td", {}, numberText(column.metric, value), interval ? h("small", {}, interval) : null);
}
