// Bit sets, for long fronts of four and more objectives, where pairwise comparison is too slow.

/**
 * A function that says whether a row of `rows`, which are sorted, is dominated by one before it: the rows that are at
 * least as good in one objective as a set of bits, the sets intersected. The work has a bound, one word for 32 rows,
 * whatever the points are.
 */
export function dominatedInSets(turned, rows) {
  const places = new Int32Array(turned[0].length);
  rows.forEach((row, place) => {
    places[row] = place;
  });
  const sets = turned.slice(1).map((column) => new LowerSets(Float64Array.from(rows, (row) => column[row])));
  return (row) => {
    const place = places[row];
    for (const set of sets) set.open(place);
    const isDominated = haveCommonPlace(sets, place);
    for (const set of sets) set.close();
    return isDominated;
  };
}

// Whether a place before `end` is in all of the sets that are open.
function haveCommonPlace(sets, end) {
  const last = end >> 5;
  for (let word = 0; word <= last; word += 1) {
    let common = word === last ? (1 << (end & 31)) - 1 : -1;
    for (const set of sets) common &= set.stored[word] | set.extra[word];
    if (common) return true;
  }
  return false;
}

// For any place, the set of places whose value is not larger: stored at every BLOCK-th place by value, else completed.
class LowerSets {
  static BLOCK = 256;

  constructor(values) {
    const n = values.length;
    const { BLOCK } = LowerSets;
    this.order = Int32Array.from(values.keys()).sort((a, b) => values[a] - values[b]);
    this.counts = new Int32Array(n);
    for (let rank = n - 1, count = n; rank >= 0; rank -= 1) {
      if (rank < n - 1 && values[this.order[rank]] < values[this.order[rank + 1]]) count = rank + 1;
      this.counts[this.order[rank]] = count;
    }
    const set = new Int32Array((n >> 5) + 1);
    this.extra = new Int32Array(set.length);
    this.blocks = [set.slice()];
    for (let rank = 0; rank < n; rank += 1) {
      add(set, this.order[rank]);
      if ((rank + 1) % BLOCK === 0) this.blocks.push(set.slice());
    }
  }

  open(place) {
    const count = this.counts[place];
    const block = Math.floor(count / LowerSets.BLOCK);
    this.stored = this.blocks[block];
    this.added = this.order.subarray(block * LowerSets.BLOCK, count);
    for (const other of this.added) add(this.extra, other);
  }

  close() {
    for (const other of this.added) this.extra[other >> 5] = 0;
  }
}

function add(set, place) {
  set[place >> 5] |= 1 << (place & 31);
}
