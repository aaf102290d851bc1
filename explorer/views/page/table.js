// The table of all trials, sorted and filtered; only visible rows are drawn, so that large studies stay fluid.
import { headOf, makeColumns, tableCell } from "explore/cells";
import { byId, download, fill, h, say } from "explore/dom";
import { toCsv, toJson } from "explore/export";
import { isKnown } from "explore/format";

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
  for (const [id, type, write] of [
    ["csv", "text/csv", toCsv],
    ["json", "application/json", toJson],
  ]) {
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
    const spacer = (rows) =>
      h(
        "tr",
        { class: "spacer", "aria-hidden": "true", style: { height: `${rows * ROW_PX}px` } },
        h("td", { colspan: columns.length }),
      );
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
    else if (top + ROW_PX + head > scroller.scrollTop + scroller.clientHeight)
      scroller.scrollTop = top + ROW_PX + head - scroller.clientHeight;
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
    const moves = {
      ArrowDown: place + 1,
      ArrowUp: place - 1,
      PageDown: place + page,
      PageUp: place - page,
      Home: 0,
      End: order.length - 1,
    };
    if (event.key in moves) selectPlace(moves[event.key]);
    else if (event.key === "Enter" || event.key === " ") onSelect(Number(line.dataset.trial));
    else return;
    event.preventDefault();
  });

  return {
    draw(state) {
      const { view, derived, matches, snapshot } = state;
      const names = [...snapshot.metrics, ...snapshot.parameters].map((one) => one.name);
      const isConfirmed = derived.confirmation !== null;
      const heading = JSON.stringify([names, derived.tableMetrics.length, isConfirmed, view.sort, view.isDown]);
      if (heading !== settled) {
        settled = heading;
        columns = makeColumns(state);
        fill(
          table.tHead,
          h(
            "tr",
            {},
            columns.map((column) => headOf(store, column, view)),
          ),
        );
        fill(
          table.querySelector("colgroup"),
          columns.map((column) => h("col", { style: { width: `${column.width}px` } })),
        );
        table.style.width = `max(100%, ${columns.reduce((sum, column) => sum + column.width, 0)}px)`;
      }
      order = sorted(
        columns.find((column) => column.key === view.sort) ?? columns[0],
        view.isDown,
        derived.byNumber.filter((index) => !matches || matches[index]),
      );
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
      say(
        byId("table-count"),
        n === 0
          ? ""
          : isFiltered
            ? `${order.length.toLocaleString("en-US")} of ${n.toLocaleString("en-US")} trials`
            : `${n.toLocaleString("en-US")} trials`,
      );
      rowsDrawn(true);
    },
  };
}

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

function row(state, columns, index, place, focused) {
  const { derived, view } = state;
  const number = derived.number[index];
  const group = derived.stateOf(index);
  const classes = [index === derived.knee ? "knee" : "", view.selected === number ? "selected" : "", group]
    .filter(Boolean)
    .join(" ");
  const attributes = {
    class: classes,
    "data-place": place,
    "data-trial": number,
    "aria-rowindex": place + 2,
    tabindex: place === Math.max(0, focused) ? 0 : -1,
    "aria-selected": String(view.selected === number),
  };
  return h(
    "tr",
    attributes,
    columns.map((column) => tableCell(state, column, index, group)),
  );
}
