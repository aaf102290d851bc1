// The hypervolume after each trial, as in explorer/pareto/hypervolume.py, for up to three objectives.
import { minimized } from "explore/columns";
import { Archive2d } from "explore/hypervolume_2d";

/** The volume after each row, in the rows' order; rows outside of `mask` add nothing; null beyond three. */
export function hypervolumeHistory(columns, directions, reference, mask) {
  if (columns.length > 3) return null;
  const corner = reference.map((value, k) => (directions[k] === "maximize" ? -value : value));
  const turned = columns.map((column, k) => minimized(column, directions[k]));
  const history = new Array(mask.length);
  const stairs = new Archive2d();
  let front = [];
  let volume = 0;
  for (let row = 0; row < mask.length; row += 1) {
    const isInside = mask[row] && turned.every((column, k) => column[row] < corner[k]);
    if (isInside && turned.length === 2) {
      stairs.add(turned[0][row], turned[1][row], corner, (gained) => {
        volume += gained;
      });
    } else if (isInside) {
      const point = turned.map((column) => column[row]);
      if (!front.some((other) => other.every((value, k) => value <= point[k]))) {
        front = front.filter((other) => !point.every((value, k) => value <= other[k]));
        front.push(point);
        // The volume never falls; adding it up anew may round it down by a last digit.
        volume = Math.max(volume, volumeOf(front, corner));
      }
    }
    history[row] = volume;
  }
  return history;
}

/** The volume of the box between reference and ideal point, which makes a volume a share; 0 for a flat box. */
export function boxVolume(ideal, directions, reference) {
  const sides = ideal.map((value, k) => (directions[k] === "maximize" ? value - reference[k] : reference[k] - value));
  return sides.every((side) => side > 0) ? sides.reduce((one, other) => one * other, 1) : 0;
}

// Minimized points of one or three objectives, all of them better than the corner.
function volumeOf(points, corner) {
  if (corner.length === 1) return corner[0] - Math.min(...points.map(([value]) => value));
  const ordered = [...points].sort((a, b) => a[2] - b[2]);
  const stairs = new Archive2d();
  let [area, volume] = [0, 0];
  ordered.forEach((point, place) => {
    stairs.add(point[0], point[1], corner, (gained) => {
      area += gained;
    });
    volume += area * ((ordered[place + 1]?.[2] ?? corner[2]) - point[2]);
  });
  return volume;
}
