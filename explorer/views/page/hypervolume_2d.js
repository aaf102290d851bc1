// The front of minimized points in two dimensions, to which points are added one at a time, and the area they add.

/** Points of which none dominates another, in ascending order of x and descending order of y. */
export class Archive2d {
  constructor() {
    this.x = [];
    this.y = [];
  }

  /** Add a point unless another is at least as good; `gain` is called with the area it adds, up to `corner`. */
  add(x, y, corner = null, gain = null) {
    let start = this.placeOf(x);
    if (start > 0 && this.y[start - 1] <= y) return false;
    if (start < this.x.length && this.x[start] === x && this.y[start] <= y) return false;
    let stop = start;
    while (stop < this.y.length && this.y[stop] >= y) stop += 1;
    if (gain) gain(this.areaOf(x, y, start, stop, corner));
    this.x.splice(start, stop - start, x);
    this.y.splice(start, stop - start, y);
    return true;
  }

  areaOf(x, y, start, stop, corner) {
    let [area, left, top] = [0, x, start > 0 ? this.y[start - 1] : corner[1]];
    for (let place = start; place < stop; place += 1) {
      area += (this.x[place] - left) * (top - y);
      [left, top] = [this.x[place], this.y[place]];
    }
    return area + ((stop < this.x.length ? this.x[stop] : corner[0]) - left) * (top - y);
  }

  // The first place whose x is not smaller.
  placeOf(x) {
    let [low, high] = [0, this.x.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.x[middle] < x) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
