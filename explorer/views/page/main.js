// The page: it reads the data, keeps the address in step, and calls each part when something changed that it draws.
import { byId, copy, fill, h, say } from "explore/dom";
import { derive, matchesOf } from "explore/derive";
import { fetchComparison, fetchState, fetchTrial, follow } from "explore/live";
import { makeFrontPlot, describeTrial, isLogAxis } from "explore/plots";
import { makeParallel } from "explore/parallel";
import { makeStore } from "explore/state";
import { drawStatus, makeStudy } from "explore/study";
import { makeTable } from "explore/table";
import { applyTheme, isDark, onSystemTheme } from "explore/theme";
import { unpacked } from "explore/unpack";
import { fromHash, toHash, usualView } from "explore/url";
import { makeVariant } from "explore/variant";
import { makeWhatIf } from "explore/whatif";

// After this long without a new value a slider counts as let go.
const REST_MS = 220;

const boot = JSON.parse(byId("boot").textContent);

async function start() {
  if (boot.snapshot) return run(unpacked(boot.snapshot), null);
  try {
    const { snapshot, live } = await fetchState();
    return run(snapshot, live);
  } catch (error) {
    say(byId("connection"), `The study cannot be read: ${error.message || "the link of this page is of an earlier start"}. Trying again.`);
    byId("connection").hidden = false;
    setTimeout(start, 3000);
    return null;
  }
}

function run(snapshot, live) {
  const usual = usualView(snapshot);
  const view = fromHash(location.hash, usual, snapshot);
  const derived = derive(snapshot, view);
  const isFile = !boot.is_live;
  const store = makeStore({
    snapshot, live, view, derived, matches: matchesOf(snapshot, view, derived),
    connection: isFile ? "file" : "live", connectionNote: "",
  });
  let dragged = 0;
  let restTimer = 0;
  const onDrag = () => {
    dragged = performance.now();
    clearTimeout(restTimer);
    restTimer = setTimeout(() => {
      dragged = 0;
      redraw(store.get(), new Set(["view"]));
    }, REST_MS);
  };
  const select = (number) => store.look({ selected: number });
  const readTrial = isFile ? async (number) => boot.details?.[number] ?? null : fetchTrial;

  const readPair = isFile ? async (one, other) => boot.comparisons[`${one}|${other}`] ?? null : fetchComparison;

  const plot = makeFrontPlot((number) => select(number), (zoom) => store.look({ zoom }), (number) => describeTrial(store.get(), number));
  const whatIf = makeWhatIf(store, onDrag);
  const variant = makeVariant(store, readTrial, readPair);
  const study = makeStudy((number) => {
    select(number);
    byId("variant").scrollIntoView({ block: "start" });
    byId("variant-heading").focus({ preventScroll: true });
  });
  const parallel = makeParallel(store);
  const table = makeTable(store, select);
  const controls = makeControls(store, usual);
  makeTools(store);

  const redraw = (state, names) => {
    const has = (...some) => some.some((name) => names.has(name));
    if (has("connection", "connectionNote")) drawConnection(state);
    if (has("live", "snapshot", "connection")) drawStatus(state);
    if (!has("snapshot", "view", "derived")) return;
    applyTheme(state.view.theme);
    const isHeld = dragged > 0 && plot.isLarge(state);
    drawAdvice(state, select);
    whatIf.draw(state);
    controls.draw(state);
    plot.draw(state, isHeld);
    variant.draw(state);
    if (!isHeld) {
      table.draw(state);
      parallel.draw(state);
      study.draw(state);
    }
  };
  const rederive = (state, names) => {
    const isOther = (name) => before.view[name] !== state.view[name];
    const isNew = names.has("snapshot") || isOther("bounds") || isOther("prices");
    const next = isNew ? derive(state.snapshot, state.view) : state.derived;
    const isFiltered = isNew || ["filter", "show", "brush"].some(isOther);
    const matches = isFiltered ? matchesOf(state.snapshot, state.view, next) : state.matches;
    before = state;
    return { ...state, derived: next, matches };
  };
  let before = store.get();
  store.subscribe((state, names) => {
    if (names.has("snapshot") || names.has("view")) {
      const full = rederive(state, names);
      store.replace(full);
      if (names.has("view")) keepAddress(full.view, usual);
      redraw(full, names);
    } else redraw(state, names);
  });
  window.addEventListener("hashchange", () => store.set({ view: fromHash(location.hash, usual, store.get().snapshot) }));
  onSystemTheme(() => redraw(store.get(), new Set(["view"])));
  redraw(store.get(), new Set(["snapshot", "live", "view", "connection"]));
  document.body.dataset.ready = "true";
  if (!isFile) follow(store).connect();
  return store;
}

function keepAddress(view, usual) {
  const hash = toHash(view, usual);
  const address = hash ? `#${hash}` : location.pathname + location.search;
  if (location.hash.replace(/^#/, "") !== hash) history.replaceState(null, "", address);
}

function drawConnection({ connection, connectionNote }) {
  const banner = byId("connection");
  banner.hidden = connection !== "lost";
  say(banner, connection === "lost" ? connectionNote : "");
  if (connection === "live") say(byId("said"), "Connected to the study.");
}

function drawAdvice(state, select) {
  const lines = state.derived.advice();
  const text = JSON.stringify(lines);
  const element = byId("advice");
  // Only what changed is written, so that nothing is read aloud, or selected, twice.
  if (element.dataset.text === text) return;
  element.dataset.text = text;
  const part = (piece) => (typeof piece === "string" ? piece : h("button", { type: "button", class: "link", onclick: () => select(piece.trial) }, `trial ${piece.trial}`));
  fill(element, lines.map((line, place) => h("p", { class: place ? "also" : "first" }, line.map(part))));
}

function makeControls(store, usual) {
  const ids = { "axis-x": "x", "axis-y": "y", "axis-z": "z", "look-color": "color", "look-size": "size", "look-shape": "shape" };
  let offered = "";
  for (const [id, name] of Object.entries(ids)) {
    byId(id).addEventListener("change", (event) => {
      const part = { [name]: event.target.value };
      if (name === "x") Object.assign(part, { isLogX: null, zoom: null });
      if (name === "y") Object.assign(part, { isLogY: null, zoom: null });
      store.look(part);
    });
  }
  byId("log-x").addEventListener("change", (event) => store.look({ isLogX: event.target.checked, zoom: null }));
  byId("log-y").addEventListener("change", (event) => store.look({ isLogY: event.target.checked, zoom: null }));
  byId("mode-3d").addEventListener("change", (event) => {
    const { view, derived } = store.get();
    const z = view.z || derived.usual.find((name) => name !== view.x && name !== view.y) || "";
    store.look({ mode: event.target.checked ? "3d" : "2d", z });
  });
  return {
    draw({ snapshot, view, derived }) {
      const metrics = derived.tableMetrics.length ? derived.tableMetrics : [...derived.metrics.values()];
      const key = `${metrics.map((metric) => metric.name)}|${snapshot.parameters.map((one) => one.name)}`;
      if (key !== offered) {
        offered = key;
        const axes = metrics.map((metric) => [metric.name, derived.label(metric.name)]);
        if (usual.x === "trial") axes.unshift(["trial", "trial"]);
        const parameters = snapshot.parameters.map((one) => [one.name, one.title]);
        const numbers = snapshot.parameters.filter((one) => !one.ticks).map((one) => [one.name, one.title]);
        offer("axis-x", axes);
        offer("axis-y", axes);
        offer("axis-z", axes);
        offer("look-color", [["", "one color"], ...axes, ...parameters]);
        offer("look-size", [["", "one size"], ...axes, ...numbers]);
        offer("look-shape", [["", "circles"], ...parameters]);
      }
      for (const [id, name] of Object.entries(ids)) if (byId(id).value !== view[name]) byId(id).value = view[name];
      byId("log-x").checked = isLogAxis(view, derived, "x");
      byId("log-y").checked = isLogAxis(view, derived, "y");
      byId("mode-3d").checked = view.mode === "3d";
      document.body.dataset.mode = view.mode;
    },
  };
}

function offer(id, choices) {
  fill(byId(id), choices.map(([value, text]) => h("option", { value }, text)));
}

function makeTools(store) {
  const link = byId("copy-link");
  link.addEventListener("click", async () => {
    const isDone = await copy(location.href);
    say(byId("said"), isDone ? "The link is copied." : "This browser does not let pages copy; the link is in the address bar.");
    say(link, isDone ? "Copied" : "See address bar");
    setTimeout(() => say(link, "Copy link"), 1600);
  });
  const button = byId("theme");
  const name = () => {
    const isNight = isDark(store.get().view.theme);
    say(button, isNight ? "Light" : "Dark");
    button.setAttribute("aria-label", `Switch to ${isNight ? "light" : "dark"}`);
  };
  button.addEventListener("click", () => store.look({ theme: isDark(store.get().view.theme) ? "light" : "dark" }));
  store.subscribe(name);
  name();
}

start();
