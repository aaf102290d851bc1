// The importance of each parameter for each objective as bars, or the reason why it is not known.
import { byId, fill, h, say } from "explore/dom";
import { countText } from "explore/format";
import { bars } from "explore/parts";

const MAX_SHOWN = 8;

/** Draw them; `insights` is null until they are there. */
export function drawImportance({ insights, derived }) {
  const found = insights?.importance ?? [];
  const reasons = new Set(found.map((one) => one.why));
  const isTold = found.some((one) => one.shares);
  const box = byId("importance");
  const empty = byId("importance-empty");
  box.hidden = !isTold;
  empty.hidden = isTold;
  if (!isTold) {
    // A reason that all share is written once.
    if (found.length) say(empty, `It cannot be told yet: ${[...reasons].join("; ")}.`);
    return;
  }
  fill(
    box,
    found.map((one) => {
      const heading = h(
        "h4",
        {},
        derived.title(one.metric),
        h("small", {}, `from ${countText(one.n_trials, "trial")}`),
      );
      return h(
        "div",
        {},
        heading,
        one.shares ? importanceBars(one.shares, derived) : h("p", { class: "note" }, cannot(one)),
      );
    }),
  );
}

const cannot = ({ why }) => `It cannot be told: ${why}.`;

function importanceBars(shares, derived) {
  const rows = shares
    .slice(0, MAX_SHOWN)
    .map(({ parameter, share }) => [derived.title(parameter), share, `${Math.round(100 * share)} %`]);
  return bars(rows, 1);
}
