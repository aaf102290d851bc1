// Unpacking of a large study's columns into the snapshot that explorer/views/page/data.py describes.

const KINDS = { u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, f4: Float32Array, f8: Float64Array };
const POWERS = Array.from({ length: 23 }, (_, power) => Number(`1e${power}`));
const DIGITS = 7;

/**
 * The snapshot with plain columns, numbers or null; one that is not packed is returned as it is. Each column is made
 * when it is first read: the front needs a few of them, and is seen before the others are made.
 */
export function unpacked(snapshot) {
  if (!snapshot.is_packed) return snapshot;
  const { n, parameters, metrics, ...columns } = snapshot.trials;
  const trials = madeOnce(columns, (packed) => column(packed, n));
  trials.parameters = madeOnce(parameters, (packed) => column(packed, n));
  trials.metrics = Object.fromEntries(Object.entries(metrics).map(([name, packed]) => [name, metric(packed, n)]));
  return { ...snapshot, is_packed: false, trials, reasons: reasons(snapshot.reasons) };
}

function metric(packed, n) {
  const made = madeOnce(packed, (part, name) => (name === "value" ? column(part, n) : end(part, made.value)));
  return made;
}

function reasons(packed) {
  if (!packed.texts) return packed;
  const text = column(packed.text, packed.n);
  return Object.fromEntries(column(packed.number, packed.n).map((trial, row) => [trial, packed.texts[text[row]]]));
}

function column(packed, n) {
  if (packed === null) return null;
  if ("all" in packed) return new Array(n).fill(packed.all);
  if ("from" in packed) return Array.from({ length: n }, (_, row) => packed.from + row);
  const kind = Object.keys(KINDS).find((name) => name in packed);
  const numbers = new KINDS[kind](bytes(packed[kind]).buffer);
  if ("of" in packed) return Array.from(numbers, (place) => packed.of[place]);
  if ("plus" in packed) return Array.from(numbers, (number) => packed.plus + packed.times * number);
  if (kind === "f4") return floats(numbers, rounded);
  return kind === "f8" ? floats(numbers, (number) => number) : Array.from(numbers);
}

function floats(numbers, made) {
  const column = new Array(numbers.length);
  for (let row = 0; row < column.length; row += 1) {
    column[row] = numbers[row] === numbers[row] ? made(numbers[row]) : null;
  }
  return column;
}

// An end of an interval: its distance from the value is the upper half of a 32-bit float.
function end(packed, value) {
  if ("all" in packed) return new Array(value.length).fill(packed.all);
  const halves = new Uint16Array(bytes(packed.below ?? packed.above).buffer);
  const whole = new Uint32Array(halves.length);
  for (let row = 0; row < whole.length; row += 1) whole[row] = halves[row] << 16;
  const distance = new Float32Array(whole.buffer);
  const sign = packed.below ? -1 : 1;
  const made = new Array(value.length);
  for (let row = 0; row < made.length; row += 1) {
    const known = value[row] !== null && distance[row] === distance[row];
    made[row] = known ? value[row] + sign * distance[row] : null;
  }
  return made;
}

// Seven significant digits, as explorer/views/page/columns.py rounds: a 32-bit float gives its decimal back.
function rounded(number) {
  if (number === 0) return 0;
  const decimals = DIGITS - 1 - Math.floor(Math.log10(Math.abs(number)));
  if (Math.abs(decimals) >= POWERS.length) return number;
  return decimals >= 0
    ? Math.round(number * POWERS[decimals]) / POWERS[decimals]
    : Math.round(number / POWERS[-decimals]) * POWERS[-decimals];
}

function bytes(base64) {
  const text = atob(base64);
  const made = new Uint8Array(text.length);
  for (let place = 0; place < made.length; place += 1) made[place] = text.charCodeAt(place);
  return made;
}

// An object of the same names, whose values are made when they are first read.
function madeOnce(object, make) {
  const made = {};
  for (const [name, packed] of Object.entries(object)) {
    const keep = (value) => Object.defineProperty(made, name, { value });
    const get = () => keep(make(packed, name))[name];
    Object.defineProperty(made, name, { get, enumerable: true, configurable: true });
  }
  return made;
}
