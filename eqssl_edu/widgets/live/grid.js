// Pictures and maps on a square grid, as the kernel turns, measures and shows them. All are numbers in a row, one plane
// after the other.

/** The nearest whole number; half-way between two the even one, as in Python. */
const nearestWhole = (x) => (Math.abs(x % 1) === 0.5 ? 2 * Math.round(x / 2) : Math.round(x));

/** An angle as 0 .. 360 degrees. */
const oneTurn = (degrees) => ((degrees % 360) + 360) % 360;

/** Planes turned counter-clockwise by any angle: exactly at multiples of 90 degrees, else bilinear; outside is 0. */
function turnPlanes(planes, side, degrees) {
  const turned = new Float32Array(planes.length);
  const quarters = degrees % 90 === 0 ? oneTurn(degrees) / 90 : null;
  if (quarters === 0) return Float32Array.from(planes);
  const angle = (degrees * Math.PI) / 180;
  const whole = [0, 1, 0, -1]; // the sine of no, one, two, three quarters
  const cos = quarters === null ? Math.cos(angle) : whole[(quarters + 1) % 4];
  const sin = quarters === null ? Math.sin(angle) : whole[quarters];
  const centre = (side - 1) / 2;
  const size = side * side;
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) {
      const [right, down] = [column - centre, row - centre];
      const x = cos * right - sin * down + centre;
      const y = sin * right + cos * down + centre;
      const [left, top] = [Math.floor(x), Math.floor(y)];
      const [u, v] = [x - left, y - top];
      const corners = [
        [left, top, (1 - u) * (1 - v)],
        [left + 1, top, u * (1 - v)],
        [left, top + 1, (1 - u) * v],
        [left + 1, top + 1, u * v],
      ].filter(([i, j, weight]) => weight > 0 && i >= 0 && i < side && j >= 0 && j < side);
      for (let start = 0; start < planes.length; start += size) {
        let sum = 0;
        for (const [i, j, weight] of corners) sum += weight * planes[start + j * side + i];
        turned[start + row * side + column] = sum;
      }
    }
  }
  return turned;
}

/** Planes flipped from left to right. */
function flipPlanes(planes, side) {
  return Float32Array.from(planes, (_, i) => planes[i - (i % side) + side - 1 - (i % side)]);
}

/** Maps with a group axis, moved along it: entry h comes from entry shift[h]; one without an axis stays. */
function moveMaps(maps, side, shift) {
  const moved = new Float32Array(maps.length);
  const size = side * side;
  for (let plane = 0; plane * size < maps.length; plane++) {
    const entry = plane % shift.length;
    const from = (plane - entry + shift[entry]) * size;
    moved.set(maps.subarray(from, from + size), plane * size);
  }
  return moved;
}

/** The rotation of a group that is nearest to an angle. */
function nearestElement({ rotations }, degrees) {
  return nearestWhole((oneTurn(degrees) * rotations) / 360) % rotations;
}

/** Maps turned by any angle: the grid, and a group axis by the nearest element. */
function turnMaps(group, maps, side, degrees) {
  const moved = group ? moveMaps(maps, side, group.shift[nearestElement(group, degrees)]) : maps;
  return turnPlanes(moved, side, degrees);
}

/** The action of the flip; without a reflection in the group all one can do is flip the grid. */
function mirrorMaps(group, maps, side) {
  const moved = group?.reflections ? moveMaps(maps, side, group.shift[group.rotations]) : maps;
  return flipPlanes(moved, side);
}

/** Is a pixel in the centred disc, which no turn moves out of the picture? */
function discOf(side) {
  const centre = (side - 1) / 2;
  const inside = (i) => (Math.floor(i / side) - centre) ** 2 + ((i % side) - centre) ** 2;
  return Uint8Array.from({ length: side * side }, (_, i) => inside(i) <= centre ** 2 + 1e-9);
}

/** The relative error of maps in the disc; 0 where all are 0, NaN where some are no numbers. */
function rotationError(maps, expected, side, degrees, group) {
  if (!maps.every(Number.isFinite) || !expected.every(Number.isFinite)) return Number.NaN;
  const [disc, turned] = [discOf(side), turnMaps(group, expected, side, degrees)];
  let [difference, size] = [0, 0];
  for (let i = 0; i < maps.length; i++) {
    if (!disc[i % disc.length]) continue;
    difference += (maps[i] - turned[i]) ** 2;
    size += turned[i] ** 2;
  }
  if (size === 0) return maps.some((value) => value !== 0) ? Number.POSITIVE_INFINITY : 0;
  return Math.sqrt(difference) / Math.sqrt(size);
}

/** Square planes of at most `most` x `most` pixels, by averages; small ones stay. */
function shrinkPlanes(planes, side, most) {
  if (side <= most) return [planes, side];
  const small = new Float32Array((planes.length / side ** 2) * most ** 2);
  const ends = Array.from({ length: most }, (_, i) => [
    Math.floor((i * side) / most),
    Math.ceil(((i + 1) * side) / most),
  ]);
  let place = 0;
  for (let start = 0; start < planes.length; start += side ** 2) {
    for (const [top, bottom] of ends) {
      for (const [left, right] of ends) {
        let sum = 0;
        for (let y = top; y < bottom; y++)
          for (let x = left; x < right; x++) sum += planes[start + y * side + x];
        small[place++] = sum / ((bottom - top) * (right - left));
      }
    }
  }
  return [small, most];
}

/** A picture for the screen: three channels as colours, any others as their mean; [planes, side, channels]. */
function forScreen(image, side, most) {
  const size = side ** 2;
  const channels = image.length / size;
  let planes = image;
  if (channels !== 3) {
    planes = new Float32Array(size);
    for (let i = 0; i < image.length; i++) planes[i % size] += image[i] / channels;
  }
  const [small, small_side] = shrinkPlanes(planes, side, most);
  return [small, small_side, channels === 3 ? 3 : 1];
}

const extremesOf = (numbers) =>
  numbers.reduce(([a, b], x) => [Math.min(a, x), Math.max(b, x)], [Infinity, -Infinity]);

/** Arrays of bytes, one after the other. */
function joinBytes(parts) {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let end = 0;
  for (const part of parts) {
    joined.set(part, end);
    end += part.length;
  }
  return joined;
}
