// plotly.js, the largest script, loads while the data are read and derived.

/** plotly.js did not arrive. */
export class NoPlotly extends Error {}

/** Wait until figures can be drawn. Throws NoPlotly with a sentence. */
export async function plotlyRead() {
  const isLoading = !window.Plotly && document.readyState !== "complete";
  // The page counts as loaded when each of its scripts has run or failed.
  if (isLoading) await new Promise((done) => window.addEventListener("load", done, { once: true }));
  if (!window.Plotly) throw new NoPlotly("plotly.js did not arrive");
}
