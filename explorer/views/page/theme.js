// Colors of the figures in light and dark, safe for color blindness, and the switch between the two.

// Okabe & Ito (2008) for words, cividis (Nuñez et al. 2018) for numbers: both do without red against green.
const WORDS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c6bb1", "#7f7f7f"];
const CIVIDIS = [
  "#00224e",
  "#123570",
  "#3b496c",
  "#575d6d",
  "#707173",
  "#8a8678",
  "#a59c74",
  "#c3b369",
  "#e1cc55",
  "#fee838",
];

const LIGHT = {
  ink: "#1f2933",
  quiet: "#616e7c",
  grid: "#e8ecf1",
  axis: "#cbd2d9",
  paper: "#ffffff",
  rest: "#c3cbd4",
  faint: "#b3bcc8",
  line: "#52606d",
  rim: "rgba(31,41,51,0.55)",
  bar: "#9aa5b1",
  knee: "#d55e00",
  front: "#0072b2",
  wash: "rgba(0,114,178,0.09)",
  words: WORDS,
  scale: CIVIDIS,
};
const DARK = {
  ink: "#e6ebf0",
  quiet: "#9aa8b6",
  grid: "#252f3a",
  axis: "#3a4653",
  paper: "#161d25",
  rest: "#586676",
  faint: "#687684",
  line: "#9aa8b6",
  rim: "rgba(14,19,25,0.9)",
  bar: "#7b8794",
  knee: "#ff9142",
  front: "#56b4e9",
  wash: "rgba(86,180,233,0.13)",
  words: ["#56b4e9", "#e69f00", "#2cc29a", "#e39ac0", "#4f8fd6", "#ff7f3f", "#b69ad6", "#a9b4bf"],
  // The dark third of cividis would vanish on a dark ground, and its gray among what is dominated.
  scale: ["#4f8be0", "#6d9bd0", "#8aaabf", "#a5b7a8", "#c0c48c", "#decf66", "#fee838"],
};

/** The symbols of a parameter's values, and of all values beyond these; there are as many colors of words. */
export const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "cross", "star", "pentagon", "hourglass"];
export const OTHER_SYMBOL = "triangle-down";
export const MAX_KINDS = SYMBOLS.length;

const wantsDark = () => window.matchMedia("(prefers-color-scheme: dark)");

/** Whether the page is dark: the user's choice, else the system's setting. */
export const isDark = (theme) => (theme === "" ? wantsDark().matches : theme === "dark");

export const palette = (theme) => (isDark(theme) ? DARK : LIGHT);

/** Put the choice on the page, where the style sheet finds it. */
export function applyTheme(theme) {
  document.documentElement.dataset.theme = isDark(theme) ? "dark" : "light";
}

/** Call `listener` when the system changes its mind. */
export const onSystemTheme = (listener) => wantsDark().addEventListener("change", listener);

/** The layout that every figure has. */
export function baseLayout(colors) {
  const axis = {
    gridcolor: colors.grid,
    zeroline: false,
    linecolor: colors.axis,
    ticks: "outside",
    tickcolor: colors.axis,
    ticklen: 4,
    automargin: false,
  };
  return {
    template: "none",
    font: { family: "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", size: 13, color: colors.ink },
    paper_bgcolor: colors.paper,
    plot_bgcolor: colors.paper,
    showlegend: false,
    hovermode: "closest",
    margin: { l: 64, r: 14, t: 10, b: 50 },
    xaxis: { ...axis },
    yaxis: { ...axis },
  };
}

/** 0.1, 0.2, 0.5, 1 in full, where Plotly would write lone digits between the decades; every digit within one. */
export const axisKind = (isLog, range = [0, 2]) =>
  isLog
    ? { type: "log", dtick: range[1] - range[0] < 0.8 ? "D1" : "D2", tickformat: "~g" }
    : { type: "linear", dtick: null, tickformat: "" };

/** An axis title in the size of the page's other words. */
export const axisTitle = (text, standoff) => ({ text, standoff, font: { size: 13 } });

/** Plotly's scale from a list of colors. */
export const colorScale = (colors) => colors.map((color, index) => [index / (colors.length - 1), color]);

/** Plotly's default toolbar has a button that uploads the chart's data: it goes, with everything else unused. */
export const plotConfig = {
  responsive: true,
  displaylogo: false,
  showSendToCloud: false,
  plotlyServerURL: "",
  doubleClick: "autosize",
  modeBarButtonsToRemove: ["sendChartToCloud", "select2d", "lasso2d", "resetScale2d"],
};

export const isNarrow = () => window.innerWidth < 700;

let webgl = null;
/** Whether this browser has WebGL; determined once. */
export function hasWebGL() {
  if (webgl === null) {
    const canvas = document.createElement("canvas");
    webgl = Boolean(canvas.getContext("webgl2") || canvas.getContext("webgl"));
  }
  return webgl;
}
