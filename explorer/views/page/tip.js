// What a point says when it is pointed at.
import { fill, h } from "explore/dom";
import { isKnown, parameterText, valueText } from "explore/format";

/** What a point says when it is pointed at: a heading and rows, all text. */
export function showTip(tip, words, event) {
  fill(
    tip,
    h("strong", {}, words.title),
    words.notes.map((note) => h("span", { class: "quiet" }, note)),
    h(
      "dl",
      {},
      words.rows.map(([name, value, more]) =>
        h("div", {}, h("dt", {}, name), h("dd", {}, value, more ? h("small", {}, ` ${more}`) : null)),
      ),
    ),
  );
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  const [x, y] = [event?.clientX ?? 0, event?.clientY ?? 0];
  const left = x + 18 + box.width > window.innerWidth ? Math.max(8, x - 18 - box.width) : x + 18;
  const top = Math.min(Math.max(8, y - box.height / 2), window.innerHeight - box.height - 8);
  tip.style.left = `${left}px`;
  tip.style.top = `${top}px`;
}

/** A trial in the words of the tooltip. */
export function describeTrial(state, number) {
  const { derived, snapshot, view } = state;
  const index = derived.indexOf(number);
  const place = derived.placeText(index, view.x, view.y);
  const rows = snapshot.parameters.map((one) => [
    one.title,
    parameterText(one, derived.trials.parameters[one.name]?.[index]),
  ]);
  for (const name of derived.usual) {
    const metric = derived.metrics.get(name);
    const value = derived.columns[name].value[index];
    if (isKnown(value)) rows.push([metric.title, valueText(metric, value), derived.gain(name, index)]);
  }
  return { title: `Trial ${number}`, notes: place, rows };
}
