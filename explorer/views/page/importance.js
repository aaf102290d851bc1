// What each parameter explains of an objective, by itself, among the trials that were measured.

/**
 * The share of the variance of `values` that the groups of `kinds` explain (the correlation ratio, Pearson 1905), in
 * [0, 1]; null where there is nothing to explain.
 */
export function explainedShare(values, kinds) {
  const n = values.length;
  if (n < 2) return null;
  const mean = values.reduce((sum, value) => sum + value, 0) / n;
  const total = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  if (!(total > 0)) return null;
  const groups = new Map();
  values.forEach((value, index) => {
    const group = groups.get(kinds[index]) ?? { n: 0, sum: 0 };
    group.n += 1;
    group.sum += value;
    groups.set(kinds[index], group);
  });
  // With as many groups as values every group explains itself: the share would be 1 whatever the values are.
  if (groups.size >= n) return null;
  let between = 0;
  for (const group of groups.values()) between += group.n * (group.sum / group.n - mean) ** 2;
  return between / total;
}

/** Numbers as at most `n` groups of about the same size, for parameters with very many values. */
export function binned(values, n = 8) {
  const distinct = new Set(values);
  if (distinct.size <= n) return values;
  const order = [...values].sort((a, b) => a - b);
  const edges = Array.from({ length: n - 1 }, (_, index) => order[Math.floor(((index + 1) * order.length) / n)]);
  return values.map((value) => edges.filter((edge) => value >= edge).length);
}
