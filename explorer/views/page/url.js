// The view as the fragment of the address, so that a link restores it; default values are left out.

/** The view with which a study is first shown. */
export function usualView(snapshot) {
  const { x, y, color } = snapshot.usual;
  return {
    x,
    y,
    z: color,
    mode: "2d",
    isLogX: null,
    isLogY: null,
    zoom: null,
    color,
    size: "",
    shape: "",
    bounds: {},
    prices: {},
    selected: null,
    pinned: [],
    filter: "",
    show: "all",
    sort: "trial",
    isDown: false,
    brush: {},
    theme: "",
  };
}

const WORDS = ["x", "y", "z", "mode", "color", "size", "shape", "filter", "show", "sort", "theme"];
const CHOICES = {
  mode: ["2d", "3d"],
  show: ["all", "front", "near", "feasible", "infeasible", "invalid", "failed"],
  theme: ["", "light", "dark"],
};
const LOGS = { isLogX: "logx", isLogY: "logy" };
const PRICES = ["hardware_usd_per_hour", "memory_usd_per_gib_hour", "other_usd_per_million"];

/** The text after `#`. */
export function toHash(view, usual) {
  const query = new URLSearchParams();
  for (const name of WORDS) if (view[name] !== usual[name]) query.set(name, view[name]);
  for (const [name, key] of Object.entries(LOGS)) if (view[name] !== null) query.set(key, view[name] ? "1" : "0");
  for (const [key, bound] of Object.entries(view.bounds)) query.set(`limit.${key}`, bound === null ? "off" : bound);
  for (const [key, price] of Object.entries(view.prices)) query.set(`price.${key}`, price);
  if (view.selected !== null) query.set("trial", view.selected);
  if (view.pinned.length) query.set("pinned", view.pinned.join(","));
  if (view.zoom) query.set("zoom", view.zoom.join(","));
  if (view.isDown) query.set("down", "1");
  for (const [name, range] of Object.entries(view.brush)) query.set(`brush.${name}`, range.join(","));
  return query.toString();
}

/** The view of an address; missing and invalid values are the defaults. */
export function fromHash(hash, usual, snapshot) {
  const query = new URLSearchParams(hash.replace(/^#/, ""));
  const view = { ...usual, bounds: {}, prices: {}, brush: {} };
  for (const name of WORDS) {
    const value = query.get(name);
    if (value !== null && (!CHOICES[name] || CHOICES[name].includes(value))) view[name] = value;
  }
  for (const [name, key] of Object.entries(LOGS)) if (query.has(key)) view[name] = query.get(key) === "1";
  view.isDown = query.get("down") === "1";
  view.zoom = numbers(query.get("zoom") ?? "", 4);
  view.selected = trialNumber(query.get("trial"));
  view.pinned = (query.get("pinned") ?? "")
    .split(",")
    .map(trialNumber)
    .filter((n) => n !== null)
    .slice(0, 2);
  for (const [key, value] of query) {
    const [kind, name] = [key.slice(0, key.indexOf(".")), key.slice(key.indexOf(".") + 1)];
    const number = Number(value);
    if (kind === "limit" && (value === "off" || isNumber(value))) view.bounds[name] = value === "off" ? null : number;
    if (kind === "price" && PRICES.includes(name) && isNumber(value) && number >= 0) view.prices[name] = number;
    if (kind === "brush") {
      const ends = numbers(value, 2);
      if (ends) view.brush[name] = ends;
    }
  }
  return knownNames(view, usual, snapshot);
}

function knownNames(view, usual, snapshot) {
  const metrics = new Set(snapshot.metrics.map((metric) => metric.name).concat("trial"));
  const parameters = new Set(snapshot.parameters.map((parameter) => parameter.name));
  const isAny = (name) => name === "" || metrics.has(name) || parameters.has(name);
  for (const axis of ["x", "y", "z"]) if (view[axis] !== "" && !metrics.has(view[axis])) view[axis] = usual[axis];
  for (const look of ["color", "size", "shape"]) if (!isAny(view[look])) view[look] = usual[look];
  view.brush = Object.fromEntries(Object.entries(view.brush).filter(([name]) => name && isAny(name)));
  view.bounds = Object.fromEntries(
    Object.entries(view.bounds).filter(([key]) => /^[^<>]+[<>]=$/.test(key) && metrics.has(key.slice(0, -2))),
  );
  return view;
}

// `n` numbers with commas between them; null for anything else.
function numbers(text, n) {
  const found = text.split(",");
  return found.length === n && found.every(isNumber) ? found.map(Number) : null;
}

const isNumber = (text) => text.trim() !== "" && Number.isFinite(Number(text));
const trialNumber = (text) => (text !== null && /^\d{1,9}$/.test(text) ? Number(text) : null);
