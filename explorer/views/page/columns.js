// Columns of numbers, and masks: a mask is a Uint8Array with 1 for selected rows.

/** The rows of a mask. */
export function rowsOf(mask) {
  const rows = new Int32Array(mask.length);
  let n = 0;
  for (let row = 0; row < mask.length; row += 1) if (mask[row]) rows[n++] = row;
  return rows.subarray(0, n);
}

const turnedColumns = new WeakMap();

/** The column turned so that smaller is better; null becomes NaN, which masks keep out. A column is turned once. */
export function minimized(column, direction) {
  if (!turnedColumns.has(column)) turnedColumns.set(column, {});
  return (turnedColumns.get(column)[direction] ??= turnedBy(column, direction === "maximize" ? -1 : 1));
}

function turnedBy(column, sign) {
  const turned = new Float64Array(column.length);
  for (let row = 0; row < turned.length; row += 1) turned[row] = column[row] === null ? NaN : sign * column[row];
  return turned;
}

/** The smallest and the largest value of these rows. */
export function ends(column, rows) {
  let low = Infinity;
  let high = -Infinity;
  for (const row of rows) {
    if (column[row] < low) low = column[row];
    if (column[row] > high) high = column[row];
  }
  return [low, high];
}

/** Whether row `one` comes before `other` by the first column in which they differ. */
export function isBefore(columns, one, other) {
  for (const column of columns) if (column[one] !== column[other]) return column[one] < column[other];
  return false;
}
