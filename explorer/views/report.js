"use strict";
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const figures = read("figures");
  const data = read("data");
  const isNarrow = () => window.innerWidth < 700;
  const config = { ...data.config, displayModeBar: isNarrow() ? false : "hover" };
  const place = new Map(data.trials.map((trial, index) => [trial, index]));
  const metric = new Map(data.metrics.map((one) => [one.name, one]));

  const hasWebGL = () => {
    const canvas = document.createElement("canvas");
    return Boolean(canvas.getContext("webgl2") || canvas.getContext("webgl"));
  };

  const draw = (name) => {
    const element = document.getElementById("plot-" + name);
    const figure = figures[name];
    if (!element || !figure || element.offsetParent === null) return;
    if ((name === "space" || name === "parallel") && !hasWebGL()) {
      element.textContent = "This browser has WebGL switched off, which this figure needs. The other figures show the same numbers.";
      element.style.minHeight = "0";
      return;
    }
    const layout = figure.layout;
    if (isNarrow() && name === "front") {
      layout.margin = { l: 48, r: 4, t: 70, b: 48 };
      layout.height = 430;
      layout.legend.font = { size: 12 };
      for (const trace of figure.data) if (trace.marker && trace.marker.colorbar) {
        Object.assign(trace.marker.colorbar, { orientation: "h", y: -0.27, yanchor: "top", title: { text: trace.marker.colorbar.title.text, side: "bottom" } });
        layout.height = 520;
      }
    }
    if (isNarrow() && name === "space") layout.scene.camera.eye = { x: 2.0, y: -2.0, z: 1.1 };
    Plotly.newPlot(element, figure.data, layout, config);
  };

  const column = (name, end, trials) => trials.map((trial) =>
    name === "trial" ? trial : data.columns[name][end][place.get(trial)]);

  const bars = (name, trials) => {
    const value = column(name, "value", trials), low = column(name, "low", trials), high = column(name, "high", trials);
    const length = (from, to) => (from === null || to === null ? 0 : Math.abs(to - from));
    return { array: value.map((v, i) => length(v, high[i])), arrayminus: value.map((v, i) => length(v, low[i])) };
  };

  // Only the data move: which points there are, and how they look, was decided when the report was written.
  const setAxes = (x, y, isLogX, isLogY) => {
    const element = document.getElementById("plot-front");
    for (const trace of figures.front.data) {
      if (trace.meta === "stairs") {
        trace.customdata = data.stairs[x + "|" + y] || [];
        trace.line.shape = metric.has(x) ? metric.get(x).shape : "hv";
      }
      trace.x = column(x, "value", trace.customdata);
      trace.y = column(y, "value", trace.customdata);
      if (trace.error_x && x !== "trial") Object.assign(trace.error_x, bars(x, trace.customdata));
      if (trace.error_y) Object.assign(trace.error_y, bars(y, trace.customdata));
    }
    const layout = figures.front.layout;
    const label = (name) => ({ text: metric.has(name) ? metric.get(name).label : name });
    const axis = (old, name, isLog) => ({
      ...old, title: label(name), autorange: true, type: isLog ? "log" : "linear",
      dtick: isLog ? data.log_ticks.dtick : null, tickformat: isLog ? data.log_ticks.tickformat : "",
    });
    layout.xaxis = axis(layout.xaxis, x, isLogX);
    layout.yaxis = axis(layout.yaxis, y, isLogY);
    Plotly.react(element, figures.front.data, layout, config);
  };

  const connectControls = () => {
    const control = (id) => document.getElementById(id);
    for (const axis of ["x", "y"]) {
      const select = control("axis-" + axis);
      const names = data.metrics.map((one) => one.name);
      if (data[axis] === "trial") names.unshift("trial");
      for (const name of names) select.add(new Option(metric.has(name) ? metric.get(name).label : name, name));
      select.value = data[axis];
      const type = figures.front.layout[axis + "axis"].type;
      control("log-" + axis).checked = type === "log";
      select.addEventListener("change", () => {
        control("log-" + axis).checked = metric.has(select.value) && metric.get(select.value).log;
        apply();
      });
      control("log-" + axis).addEventListener("change", apply);
    }
    function apply() {
      setAxes(control("axis-x").value, control("axis-y").value, control("log-x").checked, control("log-y").checked);
    }
  };

  const makeSortable = (table) => {
    const headings = [...table.tHead.rows[0].cells];
    headings.forEach((heading, index) => heading.addEventListener("click", () => {
      const isDown = heading.getAttribute("aria-sort") === "ascending";
      headings.forEach((other) => other.setAttribute("aria-sort", "none"));
      heading.setAttribute("aria-sort", isDown ? "descending" : "ascending");
      const body = table.tBodies[0];
      const key = (row) => row.cells[index].dataset.value;
      const compare = (a, b) => {
        if (a === "" || b === "") return (a === "") - (b === "");
        const order = isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b;
        return isDown ? -order : order;
      };
      body.append(...[...body.rows].sort((one, other) => compare(key(one), key(other))));
    }));
  };

  Object.keys(figures).forEach(draw);
  connectControls();
  document.querySelectorAll("table.sortable").forEach(makeSortable);
})();
