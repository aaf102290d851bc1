// Text of numbers, as in explorer/views/formatting.py, for values that the page computes.

export const DASH = "–";

/** A metric's value without its unit: percent with two decimals, counts in full, the rest with three digits. */
export function numberText(metric, value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return DASH;
  const shown = value * metric.scale;
  if (metric.scale !== 1) return shown.toFixed(2);
  if (Math.abs(shown) >= 100) return Math.round(shown).toLocaleString("en-US");
  if (shown === 0) return "0.00";
  return Math.abs(shown) >= 0.001 ? significant(shown) : String(Number(shown.toPrecision(3)));
}

/** A metric's value with its unit; money has its sign in front. */
export function valueText(metric, value) {
  const text = numberText(metric, value);
  if (text === DASH || !metric.unit) return text;
  return metric.unit.startsWith("$") ? `$${text}${metric.unit.slice(1)}` : `${text} ${metric.unit}`;
}

/** `90.40–92.00`, or nothing for a metric without an interval. */
export function intervalText(metric, low, high) {
  return isKnown(low) && isKnown(high) ? `${numberText(metric, low)}${DASH}${numberText(metric, high)}` : "";
}

/** How a value compares with the baseline's: points of a ratio, or `5.3×` where larger is better; "" without one. */
export function gainText(metric, value, baseline) {
  if (!isKnown(value) || !isKnown(baseline)) return "";
  if (metric.scale !== 1) return signed((value - baseline) * metric.scale, 2);
  const [over, under] = metric.better === "maximize" ? [value, baseline] : [baseline, value];
  if (over <= 0 || under <= 0) return "";
  const ratio = over / under;
  return `${ratio >= 100 ? Math.round(ratio).toLocaleString("en-US") : ratio.toPrecision(2)}×`;
}

/** The ends of a difference's interval, with their signs, without the unit. */
export function rangeText(metric, low, high) {
  const text = (end) => `${end < 0 ? "−" : "+"}${numberText(metric, Math.abs(end))}`;
  return `${text(low)} to ${text(high)}`;
}

/** A difference with its sign, in the metric's unit. */
export function differenceText(metric, difference) {
  if (!isKnown(difference)) return DASH;
  const sign = difference < 0 ? "−" : "+";
  const unit = metric.scale !== 1 ? "points" : metric.unit;
  const digits = numberText(metric, Math.abs(difference));
  return unit.startsWith("$") ? `${sign}$${digits}${unit.slice(1)}` : `${sign}${digits} ${unit}`.trim();
}

/** Title and unit: `latency [ms]`. */
export const labelText = (metric) => (metric.unit ? `${metric.title} [${metric.unit}]` : metric.title);

/** The unit for a narrow heading. */
export const shortUnit = (metric) => metric.unit.replace("$ per million", "$/M");

/** `0.3 s`, `18 s`, `3 min 20 s`, `2 h 05 min`. */
export function durationText(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const two = (number) => String(number).padStart(2, "0");
  if (seconds > 0 && seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
}

/** `1,234`. */
export const thousands = (number) => number.toLocaleString("en-US");

/** `1 trial`, `12 trials`. */
export const countText = (number, word) => `${thousands(number)} ${word}${number === 1 ? "" : "s"}`;

/** A parameter's value: the words of its ticks, or the number as it is. */
export function parameterText(parameter, value) {
  if (value === null || value === undefined) return DASH;
  return parameter.ticks ? (parameter.ticks[value] ?? DASH) : String(Number(value.toPrecision(6)));
}

/** Plotly reads tags and entities in its labels: this is the text that it shows as it is. */
export const plotlyText = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

/** The same for labels in space, where Plotly reads tags and no entities. */
export const spaceText = (text) => text.replaceAll("<", "‹").replaceAll(">", "›");

export const isKnown = (value) => value !== null && value !== undefined && Number.isFinite(value);

function significant(number) {
  const text = number.toPrecision(3);
  return text.includes("e") ? String(Number(text)) : text;
}

function signed(number, digits) {
  return `${number >= 0 ? "+" : "−"}${Math.abs(number).toFixed(digits)}`;
}
