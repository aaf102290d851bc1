// The button that exports the selected trial, and the result of the export.
import { byId, h, say } from "explore/dom";
import { isKnown, valueText } from "explore/format";
import { stampOf } from "explore/state";

/** `button(state)` and `said(state)` are elements for the selected trial; `redraw()` is called when they change. */
export function makeExportButton(exportTrial, redraw) {
  const results = new Map();

  const isPossible = ({ live }) => live?.status !== "running";
  const qualityOf = ({ derived }) => derived.metrics.get(derived.quality);
  const keyOf = (state) => `${state.view.selected}|${stampOf(state, state.view.selected)}`;
  const run = (number, state) => {
    const key = keyOf(state);
    results.set(key, { isWaiting: true });
    redraw();
    exportTrial(number)
      .then(
        (made) => ({ folder: made.folder, test: made.test_accuracy, objections: made.objections }),
        (error) => ({ error: error.message }),
      )
      .then((result) => {
        results.set(key, result);
        say(byId("said"), sentence(number, qualityOf(state), result));
        redraw();
      });
  };
  const button = (state) => {
    const number = state.view.selected;
    const isWaiting = results.get(keyOf(state))?.isWaiting ?? false;
    const isOff = isWaiting || !isPossible(state);
    const title = isPossible(state) ? "Write the bundle into the study's folder" : "Possible when the study has ended";
    const attributes = { type: "button", id: "export", title, onclick: () => run(number, state) };
    return h("button", isOff ? { ...attributes, disabled: "" } : attributes, isWaiting ? "Exporting …" : "Export");
  };
  const said = (state) => {
    const result = results.get(keyOf(state));
    if (!result || result.isWaiting) return null;
    const role = result.error ? "alert" : "status";
    return h("p", { class: "note", id: "exported", role }, sentence(state.view.selected, qualityOf(state), result));
  };
  return { button, said, isPossible };
}

function sentence(number, quality, { folder, test, objections, error }) {
  if (error) return `Trial ${number} was not exported: ${error}`;
  const title = `${quality.title[0].toUpperCase()}${quality.title.slice(1)}`;
  const words = isKnown(test?.value)
    ? ` ${title} on the test split, which chose nothing: ${valueText(quality, test.value)}.`
    : "";
  const but = objections?.length ? ` Its model card says that it ${objections.join(" and ")}.` : "";
  return `Exported to ${folder}.${but}${words} \`explore verify ${folder}\` proves it.`;
}
