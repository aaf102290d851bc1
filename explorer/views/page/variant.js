// The section of the selected trial and of the comparison of two pinned ones.
import { byId, fill, h, say } from "explore/dom";
import { makeExportButton } from "explore/export_button";
import { variantSheet } from "explore/variant_sheet";
import { stampOf } from "explore/state";
import { drawComparison } from "explore/comparison";

/**
 * The section; `draw(state)` brings it up to date. `readTrial(number)` gives a trial's detail, `readPair(one, other)`
 * what Python finds by comparing the samples of two, the smaller number first; or null. `exportTrial(number)` exports
 * one; null where nobody can.
 */
export function makeVariant(store, readTrial, readPair, exportTrial) {
  const details = new Map();
  const pairs = new Map();
  const exports = exportTrial && makeExportButton(exportTrial, () => redraw());
  let drawn = "";
  let confirmed = "null";

  const redraw = () => {
    drawn = "";
    draw(store.get());
  };
  const stamps = (numbers) => numbers.map((number) => stampOf(store.get(), number));

  // What was found is kept under the trials' stamps. An answer counts if it is the one that is still waited for.
  const askPair = (one, other) => {
    const key = [one, other, ...stamps([one, other])].join("|");
    if (pairs.has(key)) return pairs.get(key).found;
    const asked = { found: null };
    pairs.set(key, asked);
    const isWanted = () => pairs.get(key) === asked;
    const keep = (found) => {
      asked.found = found;
      if (found && isWanted()) redraw();
    };
    // Without an answer the comparison is by the two intervals, as the table states.
    readPair(one, other).then(keep, () => isWanted() && pairs.delete(key));
    return null;
  };

  const ask = (number) => {
    const key = [number, ...stamps([number])].join("|");
    if (details.has(key)) return details.get(key);
    const asked = { isWaiting: true };
    details.set(key, asked);
    readTrial(number)
      .then(
        (detail) => ({ detail }),
        (error) => ({ why: `its details cannot be read: ${error.message}` }),
      )
      .then((found) => {
        if (details.get(key) !== asked) return;
        if (found.why) details.delete(key);
        else details.set(key, found);
        drawn = "";
        draw(store.get(), found.why ? found : null);
      });
    return asked;
  };

  const pin = (number) => {
    const { pinned } = store.get().view;
    store.look({
      pinned: pinned.includes(number) ? pinned.filter((one) => one !== number) : [...pinned, number].slice(-2),
    });
  };

  function draw(state, failed = null) {
    const { view, derived, snapshot } = state;
    const seen = JSON.stringify(snapshot.confirmation ?? null);
    if (seen !== confirmed) {
      confirmed = seen;
      details.clear();
      pairs.clear();
      drawn = "";
    }
    const index = view.selected === null ? -1 : derived.indexOf(view.selected);
    const key = JSON.stringify([
      view.selected,
      index < 0 ? -1 : derived.placeText(index, view.x, view.y),
      view.pinned,
      stamps([view.selected, ...view.pinned]),
      view.prices,
      derived.knee,
      derived.number.length > 0,
      derived.baseline,
      exports?.isPossible(state),
    ]);
    if (key === drawn && !failed) return;
    drawn = key;
    byId("variant-empty").hidden = index >= 0 || view.selected !== null || view.pinned.length > 0;
    say(
      byId("variant-heading"),
      index >= 0
        ? `Trial ${view.selected}`
        : view.selected !== null
          ? `Trial ${view.selected} is not there yet`
          : "One variant",
    );
    const body = byId("variant-body");
    body.hidden = index < 0;
    if (index >= 0) {
      const found = failed ?? ask(view.selected);
      fill(body, variantSheet(state, index, found, exports, askPair));
    }
    drawActions(state, index, pin, store);
    drawComparison(state, pin, askPair);
  }
  return { draw: (state) => draw(state) };
}

function drawActions({ view }, index, pin, store) {
  const number = view.selected;
  const isPinned = view.pinned.includes(number);
  fill(
    byId("variant-actions"),
    index < 0
      ? []
      : [
          h(
            "button",
            { type: "button", "aria-pressed": String(isPinned), onclick: () => pin(number) },
            isPinned ? "Unpin" : "Pin to compare",
          ),
          h(
            "button",
            { type: "button", "aria-label": `Close trial ${number}`, onclick: () => store.look({ selected: null }) },
            "Close",
          ),
        ],
  );
}
