// The cost at other prices, computed as in explorer/measure/metrics.py.

const S_PER_HOUR = 3600;
const COST = "cost_usd_per_million";

/**
 * The columns of the cost at these prices: value, and the ends that the mean latency's interval implies. Without the
 * metrics that it is made of, the cost is what was stored.
 */
export function costOf(trials, prices) {
  const mean = trials.metrics.latency_mean_ms;
  const memory = trials.metrics.peak_memory_mib;
  const n = trials.number.length;
  const cost = { value: new Array(n).fill(null), low: new Array(n).fill(null), high: new Array(n).fill(null) };
  if (!mean || !memory) return trials.metrics[COST] ?? cost;
  const hardware = prices.hardware_usd_per_hour / S_PER_HOUR;
  for (let row = 0; row < n; row += 1) {
    if (mean.value[row] === null || memory.value[row] === null) continue;
    const memoryUsd = ((prices.memory_usd_per_gib_hour / S_PER_HOUR) * memory.value[row]) / 1024;
    const usdPerS = 1e6 * (hardware + memoryUsd);
    for (const end of ["value", "low", "high"]) {
      const latency = mean[end][row];
      if (latency !== null) {
        cost[end][row] = usdPerS * (latency / 1000 / trials.batch_size[row]) + prices.other_usd_per_million;
      }
    }
  }
  return cost;
}
