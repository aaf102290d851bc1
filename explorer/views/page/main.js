// The page: read the data, keep the address up to date, and redraw the parts whose data have changed.
import { makeAddress } from "explore/address";
import { drawRecommendation } from "explore/recommendation";
import { makeControls, makeTools } from "explore/controls";
import { derive } from "explore/derive";
import { byId, framed, say } from "explore/dom";
import { matchesOf } from "explore/filter";
import { makeInsights } from "explore/insights";
import { exportTrial, fetchComparison, fetchInsights, fetchState, fetchTrial, follow } from "explore/live";
import { makeParallel } from "explore/parallel";
import { makeFrontPlot } from "explore/plot";
import { NoPlotly, plotlyRead } from "explore/plotly";
import { makeStore } from "explore/state";
import { drawStatus } from "explore/status";
import { makeStudy } from "explore/study";
import { makeTable } from "explore/table";
import { applyTheme, onSystemTheme } from "explore/theme";
import { describeTrial } from "explore/tooltip";
import { unpacked } from "explore/unpack";
import { fromHash, usualView } from "explore/url";
import { makeVariant } from "explore/variant";
import { makeWhatIf } from "explore/whatif";

// A slider that gets no new value for so long after an answer counts as let go.
const REST_MS = 220;

const boot = JSON.parse(byId("boot").textContent);
let offline = null;
// The details in an offline file are parsed when the first of them is requested.
const extras = () => (offline ??= JSON.parse(byId("extras").textContent));

async function start() {
  if (boot.snapshot) return run(unpacked(boot.snapshot), null);
  try {
    const { snapshot, live } = await fetchState();
    return await run(snapshot, live);
  } catch (error) {
    say(
      byId("connection"),
      `The study cannot be read: ${error.message || "the link of this page is of an earlier start"}. Trying again.`,
    );
    byId("connection").hidden = false;
    setTimeout(error instanceof NoPlotly ? () => location.reload() : start, 3000);
    return null;
  }
}

async function run(snapshot, live) {
  const usual = usualView(snapshot);
  const view = fromHash(location.hash, usual, snapshot);
  const derived = derive(snapshot, view);
  const isFile = !boot.is_live;
  const store = makeStore({
    snapshot,
    live,
    view,
    derived,
    matches: matchesOf(snapshot, view, derived),
    insights: isFile ? boot.insights : null,
    connection: isFile ? "file" : "live",
    connectionNote: "",
  });
  let isDragged = false;
  let restTimer = 0;
  const onDrag = () => {
    isDragged = true;
    clearTimeout(restTimer);
  };
  const letGo = () => {
    isDragged = false;
    redraw(store.get(), new Set(["view"]));
  };
  const select = (number) => store.look({ selected: number });
  const readTrial = isFile ? async (number) => extras().details[number] ?? null : fetchTrial;
  const readPair = isFile ? async (one, other) => extras().comparisons[`${one}|${other}`] ?? null : fetchComparison;

  const plot = makeFrontPlot(
    (number) => select(number),
    (part) => store.look(part),
    (number) => describeTrial(store.get(), number),
  );
  const whatIf = makeWhatIf(store, onDrag);
  const variant = makeVariant(store, readTrial, readPair, isFile ? null : exportTrial);
  const study = makeStudy((number) => {
    select(number);
    byId("variant").scrollIntoView({ block: "start" });
    byId("variant-heading").focus({ preventScroll: true });
  });
  const parallel = makeParallel(store);
  const table = makeTable(store, select);
  const controls = makeControls(store, usual);
  const insights = isFile ? null : makeInsights(store, fetchInsights);
  const address = makeAddress(store, usual);
  makeTools(store, address.now);

  const drawWords = (state) => {
    applyTheme(state.view.theme);
    drawRecommendation(state, select);
    whatIf.draw(state);
    controls.draw(state);
  };
  const below = [variant, table, parallel, study];
  const redraw = (state, names) => {
    const has = (...some) => some.some((name) => names.has(name));
    if (has("connection", "connectionNote")) drawConnection(state);
    if (has("live", "snapshot", "connection")) drawStatus(state);
    if (has("live", "snapshot")) insights?.follow(state);
    if (has("insights")) study.draw(state);
    if (!has("snapshot", "view")) return;
    const isHeld = isDragged && plot.isLarge(state);
    drawWords(state);
    if (!window.Plotly) return;
    plot.draw(state, isHeld);
    for (const part of isHeld ? [variant] : below) part.draw(state);
    clearTimeout(restTimer);
    if (isHeld) restTimer = setTimeout(letGo, REST_MS);
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
      redraw(full, names);
      if (names.has("view")) address.later();
    } else redraw(state, names);
  });
  window.addEventListener("hashchange", () =>
    store.set({ view: fromHash(location.hash, usual, store.get().snapshot) }),
  );
  onSystemTheme(() => redraw(store.get(), new Set(["view"])));
  drawConnection(store.get());
  drawStatus(store.get());
  drawWords(store.get());
  await plotlyRead();
  const isLarge = plot.isLarge(store.get());
  plot.draw(store.get(), isLarge);
  // The front is drawn first, then the other parts one by one, with pointer events handled in between.
  const behind = isLarge ? [{ draw: (state) => plot.draw(state, false) }] : [];
  for (const part of [...behind, ...below]) {
    await framed();
    part.draw(store.get());
  }
  // What a slider needs is computed once in advance: the first time takes several times as long.
  if (isLarge) derive(snapshot, { ...view, bounds: { [`${snapshot.quality[0]}>=`]: 0 } });
  insights?.follow(store.get());
  document.body.dataset.ready = "true";
  if (!isFile) follow(store).connect();
  return store;
}

function drawConnection({ connection, connectionNote }) {
  const banner = byId("connection");
  banner.hidden = connection !== "lost";
  say(banner, connection === "lost" ? connectionNote : "");
  if (connection === "live") say(byId("said"), "Connected to the study.");
}

start();
