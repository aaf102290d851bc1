// What if: limits for metrics and prices; their effect is computed in the page without a measurement.
import { h, fill, say, byId } from "explore/dom";
import { countText, isKnown, thousands, valueText } from "explore/format";
import { boundKey, studyBound } from "explore/limits";

const STEPS = 400;
const PRICES = [
  ["hardware_usd_per_hour", "hardware", "$ per hour"],
  ["memory_usd_per_gib_hour", "memory", "$ per GiB-hour"],
  ["other_usd_per_million", "other", "$ per million"],
];

/** The sliders and price fields; `draw(state)` keeps them in step with the view without disturbing the one in hand. */
export function makeWhatIf(store, onDrag) {
  const rows = new Map();
  const prices = new Map();
  const list = byId("limits");
  byId("whatif-reset").addEventListener("click", () => store.look({ bounds: {}, prices: {} }));
  for (const [name, title, unit] of PRICES) {
    const field = h("input", { type: "number", min: 0, step: "any", inputmode: "decimal", id: `price-${name}` });
    field.addEventListener("input", () => {
      const all = { ...store.get().view.prices };
      const price = Number(field.value);
      field.setAttribute("aria-invalid", String(field.value === "" || !Number.isFinite(price) || price < 0));
      if (field.getAttribute("aria-invalid") === "true") return;
      if (price === store.get().snapshot.prices[name]) delete all[name];
      else all[name] = price;
      onDrag();
      store.look({ prices: all });
    });
    prices.set(name, field);
    byId("prices").append(h("label", {}, h("span", {}, title), field, h("small", {}, unit)));
  }

  const setBound = (key, value) => {
    const { view, snapshot } = store.get();
    const bounds = { ...view.bounds };
    const own = studyBound(snapshot, key);
    if (value === own) delete bounds[key];
    else bounds[key] = value;
    onDrag();
    store.look({ bounds });
  };

  return {
    draw(state) {
      const { snapshot, view, derived } = state;
      const wanted = limitKeys(state);
      if ([...rows.keys()].join() !== wanted.join()) {
        rows.clear();
        for (const key of wanted) rows.set(key, makeRow(key, derived, setBound));
        fill(
          list,
          [...rows.values()].map((row) => row.element),
        );
      }
      for (const [key, row] of rows) row.draw(state, derived.boundOf(key), studyBound(snapshot, key));
      for (const [name, field] of prices) {
        const price = view.prices[name] ?? snapshot.prices[name];
        if (document.activeElement !== field && field.value !== String(price)) field.value = String(price);
      }
      const isChanged = Object.keys(view.bounds).length + Object.keys(view.prices).length > 0;
      byId("whatif-reset").disabled = !isChanged;
      byId("prices-box").hidden = !derived.metrics.has("cost_usd_per_million");
      byId("whatif-empty").hidden = wanted.length > 0;
      say(byId("whatif-answer"), answer(derived));
    },
  };
}

function answer(derived) {
  if (!derived.measured.length) return "";
  const { feasible } = derived.counts;
  const knee = derived.knee < 0 ? "no knee" : `knee: trial ${derived.number[derived.knee]}`;
  const front = thousands(derived.front.length);
  const measured = countText(derived.measured.length, "measured trial");
  return `${thousands(feasible)} of ${measured} within these limits; front: ${front}; ${knee}.`;
}

// A slider for each usual metric that was measured, in its useful direction, and for every limit of the study or link.
function limitKeys({ snapshot, view, derived }) {
  const keys = derived.usual.map((name) => `${name}${derived.metrics.get(name).better === "maximize" ? ">=" : "<="}`);
  keys.push(...snapshot.constraints.map(boundKey));
  keys.push(...Object.keys(view.bounds));
  return [...new Set(keys)].filter(
    (key) => derived.metrics.has(key.slice(0, -2)) && isKnown(derived.spanOf(key.slice(0, -2))[0]),
  );
}

function makeRow(key, derived, setBound) {
  const name = key.slice(0, -2);
  const isLower = key.endsWith(">=");
  const metric = derived.metrics.get(name);
  const words = `${metric.title} ${isLower ? "at least" : "at most"}`;
  const range = h("input", { type: "range", min: 0, max: STEPS, step: 1, "aria-label": words });
  const field = h("input", {
    type: "number",
    step: "any",
    inputmode: "decimal",
    placeholder: "no limit",
    "aria-label": `${words}, in ${metric.unit || "numbers"}`,
  });
  const own = h("small", { class: "own" });
  const element = h(
    "div",
    { class: "limit" },
    h("span", { class: "what" }, words),
    h("span", { class: "number" }, field, h("small", {}, metric.unit.replace(" per million", "/M"))),
    range,
    own,
  );
  let span = [0, 1];
  let isLog = false;

  // At the end of the slider that excludes nothing there is no limit.
  const free = isLower ? 0 : STEPS;
  const toValue = (step) => {
    if (step === free) return null;
    const [low, high] = span;
    if (step === (isLower ? STEPS : 0)) return isLower ? high : low;
    const share = step / STEPS;
    const value = isLog ? low * (high / low) ** share : low + (high - low) * share;
    return rounded(value * metric.scale, isLower, (high - low) * metric.scale) / metric.scale;
  };
  const toStep = (value) => {
    const [low, high] = span;
    if (value === null) return free;
    if (high === low) return isLower ? STEPS : 0;
    const share = isLog ? Math.log(Math.max(value, low) / low) / Math.log(high / low) : (value - low) / (high - low);
    return Math.round(Math.min(1, Math.max(0, share)) * STEPS);
  };
  range.addEventListener("input", () => {
    const value = toValue(Number(range.value));
    field.value = value === null ? "" : shownNumber(metric, value);
    describe(range, metric, value);
    setBound(key, value);
  });
  field.addEventListener("input", () => {
    const value = field.value === "" ? null : Number(field.value) / metric.scale;
    if (value === null || Number.isFinite(value)) setBound(key, value);
  });
  return {
    element,
    draw(state, bound, studys) {
      span = state.derived.spanOf(name);
      isLog = state.derived.isWide(name);
      const step = String(toStep(bound));
      if (document.activeElement !== range && range.value !== step) range.value = step;
      const text = bound === null ? "" : shownNumber(metric, bound);
      if (document.activeElement !== field && document.activeElement !== range && field.value !== text)
        field.value = text;
      describe(range, metric, bound);
      element.classList.toggle("off", bound === null);
      element.classList.toggle("changed", bound !== studys);
      range.style.setProperty("--share", `${(100 * Number(range.value)) / STEPS}%`);
      say(own, studys === null ? "" : `the study's limit: ${valueText(metric, studys)}`);
    },
  };
}

function describe(range, metric, value) {
  range.setAttribute("aria-valuetext", value === null ? "no limit" : valueText(metric, value));
}

// Short enough to read, and never stricter than where the handle is.
function rounded(shown, isLower, span) {
  const digits = Math.min(10, Math.max(0, 2 - Math.floor(Math.log10(Math.min(span || 1, Math.abs(shown) || 1)))));
  const factor = 10 ** digits;
  return (isLower ? Math.floor(shown * factor) : Math.ceil(shown * factor)) / factor;
}

const shownNumber = (metric, value) => String(Number((value * metric.scale).toPrecision(6)));
