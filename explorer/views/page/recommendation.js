// The recommendation at the head of the page.
import { byId, fill, h, say } from "explore/dom";

/** What makes every comparison worthless, and how accurate the baseline is beside guessing. */
function drawBaseline({ warnings, baseline }) {
  const element = byId("warnings");
  if (element.textContent !== warnings.join("")) fill(element, warnings.map((text) => h("p", {}, text)));
  byId("baseline-said").hidden = !baseline;
  say(byId("baseline-said"), baseline);
}

/** Draw it; a trial that it names is selected by a click. */
export function drawRecommendation(state, select) {
  drawBaseline(state.snapshot.study);
  const lines = state.derived.advice();
  const text = JSON.stringify(lines);
  const element = byId("advice");
  // Only what changed is written, so that nothing is read aloud, or selected, twice.
  if (element.dataset.text === text) return;
  element.dataset.text = text;
  const part = (piece) =>
    typeof piece === "string"
      ? piece
      : h("button", { type: "button", class: "link", onclick: () => select(piece.trial) }, `trial ${piece.trial}`);
  fill(
    element,
    lines.map((line, place) => h("p", { class: place ? "also" : "first" }, line.map(part))),
  );
}
