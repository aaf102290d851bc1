// The table of every trial: sorted, filtered, and drawn only where one looks, so that very many rows stay fluid.
import { h, fill, say, byId, download } from "explore/dom";
import { durationText, intervalText, isKnown, numberText, parameterText, shortUnit } from "explore/format";
import { toCsv, toJson } from "explore/export";

const ROW_PX = 44;
const SPARE_ROWS = 8;

/** The table; `draw(state)` brings it up to date, a row selects its trial. */
export function makeTable(store, onSelect) {
  const scroller = byId("table-scroll");
  const table = byId("trials-table");
  const filter = byId("table-filter");
  let order = [];
  let columns = [];
  let drawn = "";
  let focused = -1;
  let settled = "";

  filter.addEventListener("input", () => store.look({ filter: filter.value }));
  byId("table-show").addEventListener("change", (event) => store.look({ show: event.target.value }));
  byId("filter-clear").addEventListener("click", () => store.look({ filter: "", show: "all", brush: {} }));
  for (const [id, type, write] of [["csv", "text/csv", toCsv], ["json", "application/json", toJson]]) {
    for (const scope of ["all", "shown"]) {
      byId(`${id}-${scope}`).addEventListener("click", () => {
        const state = store.get();
        const rows = scope === "all" ? state.derived.byNumber : order;
        const name = state.snapshot.study.name.replace(/[^A-Za-z0-9._-]/g, "_");
        download(`${name}-trials.${id}`, `${type};charset=utf-8`, write(state, rows));
      });
    }
  }

  const rowsDrawn = (isForced) => {
    const state = store.get();
    const first = Math.max(0, Math.floor(scroller.scrollTop / ROW_PX) - SPARE_ROWS);
    const last = Math.min(order.length, Math.ceil((scroller.scrollTop + scroller.clientHeight) / ROW_PX) + SPARE_ROWS);
    const key = `${first}-${last}`;
    if (!isForced && key === drawn) return;
    drawn = key;
    const spacer = (rows) => h("tr", { class: "spacer", "aria-hidden": "true", style: { height: `${rows * ROW_PX}px` } }, h("td", { colspan: columns.length }));
    const hadFocus = table.tBodies[0].contains(document.activeElement);
    const rows = order.slice(first, last).map((index, place) => row(state, columns, index, first + place, focused));
    fill(table.tBodies[0], spacer(first), rows, spacer(order.length - last));
    if (hadFocus) table.tBodies[0].querySelector(`[data-place="${focused}"]`)?.focus({ preventScroll: true });
  };
  scroller.addEventListener("scroll", () => rowsDrawn(false), { passive: true });
  new ResizeObserver(() => rowsDrawn(false)).observe(scroller);

  const selectPlace = (place) => {
    if (!order.length) return;
    focused = Math.min(order.length - 1, Math.max(0, place));
    const top = focused * ROW_PX;
    const head = table.tHead.offsetHeight;
    if (top < scroller.scrollTop) scroller.scrollTop = top;
    else if (top + ROW_PX + head > scroller.scrollTop + scroller.clientHeight) scroller.scrollTop = top + ROW_PX + head - scroller.clientHeight;
    rowsDrawn(true);
    table.tBodies[0].querySelector(`[data-place="${focused}"]`)?.focus({ preventScroll: true });
  };
  table.tBodies[0].addEventListener("click", (event) => {
    const line = event.target.closest("tr[data-place]");
    if (!line) return;
    focused = Number(line.dataset.place);
    onSelect(Number(line.dataset.trial));
  });
  table.tBodies[0].addEventListener("keydown", (event) => {
    const line = event.target.closest("tr[data-place]");
    if (!line) return;
    const place = Number(line.dataset.place);
    const page = Math.floor(scroller.clientHeight / ROW_PX) - 1;
    const moves = { ArrowDown: place + 1, ArrowUp: place - 1, PageDown: place + page, PageUp: place - page, Home: 0, End: order.length - 1 };
    if (event.key in moves) selectPlace(moves[event.key]);
    else if (event.key === "Enter" || event.key === " ") onSelect(Number(line.dataset.trial));
    else return;
    event.preventDefault();
  });

  return {
    draw(state) {
      const { view, derived, matches, snapshot } = state;
      const heading = `${snapshot.metrics.map((metric) => metric.name)}|${snapshot.parameters.map((one) => one.name)}|${view.sort}|${view.isDown}`;
      if (heading !== settled) {
        settled = heading;
        columns = makeColumns(state);
        fill(table.tHead, h("tr", {}, columns.map((column) => head(store, column, view))));
        fill(table.querySelector("colgroup"), columns.map((column) => h("col", { style: { width: `${column.width}px` } })));
        table.style.width = `max(100%, ${columns.reduce((sum, column) => sum + column.width, 0)}px)`;
      }
      order = sorted(columns.find((column) => column.key === view.sort) ?? columns[0], view.isDown, derived.byNumber.filter((index) => !matches || matches[index]));
      focused = Math.min(focused, order.length - 1);
      table.setAttribute("aria-rowcount", String(order.length + 1));
      scroller.style.height = `${Math.min(12.4, Math.max(order.length, 2)) * ROW_PX + 60}px`;
      if (document.activeElement !== filter && filter.value !== view.filter) filter.value = view.filter;
      byId("table-show").value = view.show;
      const n = derived.number.length;
      const isFiltered = matches !== null;
      byId("filter-clear").hidden = !isFiltered;
      byId("downloads-shown").hidden = !isFiltered;
      byId("table-empty").hidden = n > 0;
      scroller.hidden = n === 0;
      byId("downloads").hidden = n === 0;
      say(byId("table-count"), n === 0 ? "" : isFiltered ? `${order.length.toLocaleString("en-US")} of ${n.toLocaleString("en-US")} trials` : `${n.toLocaleString("en-US")} trials`);
      rowsDrawn(true);
    },
  };
}

function makeColumns({ snapshot, derived }) {
  const columns = [
    { key: "trial", title: "trial", unit: "", width: 78, value: (index) => derived.number[index] },
    { key: "state", title: "state", unit: "", width: 112, isWord: true, value: (index) => STATES.indexOf(derived.stateOf(index)) },
  ];
  for (const one of snapshot.parameters) {
    const longest = Math.max(one.title.length, ...(one.ticks ?? []).map((tick) => Math.min(22, tick.length)));
    columns.push({ key: one.name, title: one.title, unit: "", width: 30 + 8.2 * Math.max(6, longest), isWord: true, parameter: one, value: (index) => derived.columnOf(one.name)[index] });
  }
  for (const metric of derived.tableMetrics) {
    columns.push({ key: metric.name, title: metric.title, unit: shortUnit(metric), width: 30 + 8.2 * Math.max(12.5, metric.title.length), metric, value: (index) => derived.columns[metric.name].value[index] });
  }
  columns.push({ key: "seconds", title: "time", unit: "", width: 110, value: (index) => derived.trials.seconds[index], isTime: true });
  return columns;
}

const STATES = ["front", "feasible", "infeasible", "invalid", "failed"];

function sorted(column, isDown, indices) {
  const value = column.value;
  return indices.sort((a, b) => {
    const [one, other] = [value(a), value(b)];
    const unknown = !isKnown(one) - !isKnown(other);
    // What is not known goes last, whichever way is sorted.
    if (unknown || !isKnown(one)) return unknown || a - b;
    return (isDown ? other - one : one - other) || a - b;
  });
}

function head(store, column, view) {
  const isSorted = view.sort === column.key;
  const turn = () => store.look({ sort: column.key, isDown: store.get().view.sort === column.key ? !store.get().view.isDown : false });
  return h("th", { scope: "col", class: column.isWord ? "word" : null, "aria-sort": isSorted ? (view.isDown ? "descending" : "ascending") : "none" },
    h("button", { type: "button", onclick: turn }, column.title), column.unit ? h("small", {}, column.unit) : null);
}

function row(state, columns, index, place, focused) {
  const { derived, view } = state;
  const number = derived.number[index];
  const group = derived.stateOf(index);
  const classes = [index === derived.knee ? "knee" : "", view.selected === number ? "selected" : "", group].filter(Boolean).join(" ");
  const attributes = {
    class: classes, "data-place": place, "data-trial": number, "aria-rowindex": place + 2,
    tabindex: place === Math.max(0, focused) ? 0 : -1, "aria-selected": String(view.selected === number),
  };
  return h("tr", attributes, columns.map((column) => tableCell(state, column, index, group)));
}

function tableCell({ derived, snapshot }, column, index, group) {
  const { trials } = derived;
  if (column.key === "trial") {
    const mark = index === derived.knee ? " ★" : derived.number[index] === 0 ? " □" : "";
    const words = index === derived.knee ? "the knee" : derived.number[index] === 0 ? "the baseline" : null;
    return h("th", { scope: "row" }, String(derived.number[index]), mark ? h("span", { title: words, "aria-label": words, role: "img" }, mark) : null);
  }
  if (column.key === "state") {
    const reason = snapshot.reasons[derived.number[index]];
    return h("td", { class: "word" }, h("span", { class: `state ${group}`, title: reason ?? null }, group));
  }
  if (column.parameter) return h("td", { class: "word", title: parameterText(column.parameter, trials.parameters[column.key]?.[index]) }, parameterText(column.parameter, trials.parameters[column.key]?.[index]));
  if (column.isTime) return h("td", {}, durationText(trials.seconds[index]), trials.is_cached?.[index] ? h("small", {}, "from the cache") : null);
  const { value, low, high } = derived.columns[column.key];
  const interval = intervalText(column.metric, low[index], high[index]);
  return h("td", {}, numberText(column.metric, value[index]), interval ? h("small", {}, interval) : null);
}
