// The tooltip of a point.
import { fill, h } from "explore/dom";
import { intervalText, isKnown, parameterText, valueText } from "explore/format";

/** Show a heading, notes and rows of text beside the pointer. */
export function showTooltip(tip, words, event) {
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
    const { value, low, high } = derived.measurement(name, index);
    if (!isKnown(value)) continue;
    const more = [intervalText(metric, low, high), derived.gain(name, index)].filter(Boolean).join(", ");
    rows.push([metric.title, valueText(metric, value), more]);
    const test = name === derived.quality ? derived.testAccuracy(index) : null;
    if (!test) continue;
    rows.push([`test ${metric.title}`, valueText(metric, test.value), intervalText(metric, test.low, test.high)]);
  }
  return { title: `Trial ${number}`, notes: place, rows };
}
