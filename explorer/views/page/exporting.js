// The button that exports the selected trial, and what came of it.
import { byId, h, say } from "explore/dom";
import { stampOf } from "explore/state";

/** `button(state)` and `said(state)` are elements for the selected trial; `redraw()` is called when they change. */
export function makeExports(exportTrial, redraw) {
  const results = new Map();

  const isPossible = ({ live }) => live?.status !== "running";
  const keyOf = (state) => `${state.view.selected}|${stampOf(state, state.view.selected)}`;
  const run = (number, key) => {
    results.set(key, { isWaiting: true });
    redraw();
    exportTrial(number)
      .then(
        (made) => ({ folder: made.folder, accuracy: made.test_accuracy, objections: made.objections }),
        (error) => ({ error: error.message }),
      )
      .then((result) => {
        results.set(key, result);
        say(byId("said"), sentence(number, result));
        redraw();
      });
  };
  const button = (state) => {
    const number = state.view.selected;
    const isWaiting = results.get(keyOf(state))?.isWaiting ?? false;
    const isOff = isWaiting || !isPossible(state);
    const title = isPossible(state) ? "Write the bundle into the study's folder" : "Possible when the study has ended";
    const attributes = { type: "button", id: "export", title, onclick: () => run(number, keyOf(state)) };
    return h("button", isOff ? { ...attributes, disabled: "" } : attributes, isWaiting ? "Exporting …" : "Export");
  };
  const said = (state) => {
    const result = results.get(keyOf(state));
    if (!result || result.isWaiting) return null;
    const role = result.error ? "alert" : "status";
    return h("p", { class: "note", id: "exported", role }, sentence(state.view.selected, result));
  };
  return { button, said, isPossible };
}

function sentence(number, { folder, accuracy, objections, error }) {
  if (error) return `Trial ${number} was not exported: ${error}`;
  const isKnown = accuracy?.value !== undefined && accuracy.value !== null;
  const test = isKnown
    ? ` Accuracy on the test split, which chose nothing: ${(100 * accuracy.value).toFixed(2)} %.`
    : "";
  const but = objections?.length ? ` Its model card says that it ${objections.join(" and ")}.` : "";
  return `Exported to ${folder}.${but}${test} \`explore verify ${folder}\` proves it.`;
}
