// The ranges of the 2-D figure's axes and whether they are logarithmic, from the choice, the zoom or the data.
import { isKnown } from "explore/format";

/** Whether an axis is logarithmic: as was chosen, else where its numbers span much; never where one is 0 or less. */
export function isLogAxis(view, derived, letter) {
  const [low] = derived.shownSpanOf(view[letter]);
  return (chosenLog(view, letter) ?? derived.isWide(view[letter])) && (!isKnown(low) || low > 0);
}

const chosenLog = (view, letter) => view[`isLog${letter.toUpperCase()}`];

/** The ends of an axis in its own coordinates: where the view zooms to, else those of its data. */
export function rangeOf(view, derived, letter) {
  const isLog = isLogAxis(view, derived, letter);
  // A zoom comes with the kinds of its axes; where a trial came that such an axis cannot hold, it means nothing now.
  const isOfThisKind = isLog || !chosenLog(view, letter);
  const place = letter === "x" ? 0 : 2;
  return view.zoom && isOfThisKind ? view.zoom.slice(place, place + 2) : axisRange(derived, view[letter], isLog);
}

/** An axis holds every trial that satisfies the study's constraints, whatever is filtered, so that nothing jumps. */
export function axisRange(derived, name, isLog) {
  const [low, high] = derived.shownSpanOf(name);
  if (!isKnown(low)) return isLog ? [-1, 1] : [0, 1];
  const [from, to] = isLog ? [Math.log10(low), Math.log10(high)] : [low, high];
  const room = (to - from || Math.abs(to) * 0.1 || 1) * 0.055;
  return [from - room, to + room];
}
