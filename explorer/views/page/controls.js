// The controls: axes and marks of the figure, the theme, and the link to the current view.
import { byId, copy, fill, h, say } from "explore/dom";
import { isLogAxis } from "explore/ranges";
import { isDark } from "explore/theme";

/** Axes and looks; `draw(state)` brings them up to date. */
export function makeControls(store, usual) {
  const ids = {
    "axis-x": "x",
    "axis-y": "y",
    "axis-z": "z",
    "look-color": "color",
    "look-size": "size",
    "look-shape": "shape",
  };
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
  fill(
    byId(id),
    choices.map(([value, text]) => h("option", { value }, text)),
  );
}

/** The buttons of the status line; `linkNow()` puts the view in the address bar and gives the link. */
export function makeTools(store, linkNow) {
  const link = byId("copy-link");
  link.addEventListener("click", async () => {
    const isDone = await copy(linkNow());
    say(
      byId("said"),
      isDone ? "The link is copied." : "This browser does not let pages copy; the link is in the address bar.",
    );
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
