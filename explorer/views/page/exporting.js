// The button that exports the selected trial, and what came of it.
import { byId, h, say } from "explore/dom";

/** `button(state)` and `said(state)` are elements for the selected trial; `redraw()` is called when they change. */
export function makeExports(exportTrial, redraw) {
  const results = new Map();

  const isPossible = ({ live }) => live?.status !== "running";
  const run = (number) => {
    results.set(number, { isWaiting: true });
    redraw();
    exportTrial(number)
      .then(
        (made) => ({ folder: made.folder, accuracy: made.test_accuracy, objections: made.objections }),
        (error) => ({ error: error.message }),
      )
      .then((result) => {
        results.set(number, result);
        say(byId("said"), sentence(number, result));
        redraw();
      });
  };
  const button = (state) => {
    const number = state.view.selected;
    const isWaiting = results.get(number)?.isWaiting ?? false;
    const isOff = isWaiting || !isPossible(state);
    const title = isPossible(state) ? "Write the bundle into the study's folder" : "Possible when the study has ended";
    const attributes = { type: "button", id: "export", title, onclick: () => run(number) };
    return h("button", isOff ? { ...attributes, disabled: "" } : attributes, isWaiting ? "Exporting …" : "Export");
  };
  const said = ({ view }) => {
    const result = results.get(view.selected);
    if (!result || result.isWaiting) return null;
    const role = result.error ? "alert" : "status";
    return h("p", { class: "note", id: "exported", role }, sentence(view.selected, result));
  };
  return { button, said, isPossible };
}

function sentence(number, { folder, accuracy, objections, error }) {
  if (error) return `Trial ${number} was not exported: ${error}`;
  const isKnown = accuracy?.value !== undefined && accuracy.value !== null;
  const test = isKnown
    ? ` Accuracy on the test split, which chose nothing: ${(100 * accuracy.value).toFixed(2)} %.`
    : "";
  const but = objections?.length ? ` Its manifest says that it ${objections.join(" and ")}.` : "";
  return `Exported to ${folder}.${but}${test} \`explore verify ${folder}\` proves it.`;
}
