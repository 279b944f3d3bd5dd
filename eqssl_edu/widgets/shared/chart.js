// Charts of curves, as SVG. Stands behind base.js.

// A curve is told by its colour, by its dashes and by the shape that marks a point of it.
const DASHES = ["", "8 4", "2 3", "10 3 2 3"];
const SHAPES = [
  "M4.5,0A4.5,4.5 0 1 1 -4.5,0A4.5,4.5 0 1 1 4.5,0Z",
  "M-4,-4H4V4H-4Z",
  "M0,-5.5L5,4H-5Z",
  "M0,-5.5L5.5,0L0,5.5L-5.5,0Z",
];

const lineStyle = (i) => ({ style: `color: var(--eqssl-line-${i % 8})`, "stroke-dasharray": DASHES[i % 4] });

/** A line through points; place is what makeAxes returns. */
function makeLine(points, place, i) {
  const d = `M${points.map(([x, y]) => `${place.x(x).toFixed(1)},${place.y(y).toFixed(1)}`).join("L")}`;
  return makeSvg("path.eqssl-line", { ...lineStyle(i), d, "data-run": i, "data-points": points.length });
}

/** The fifth curve has the dashes of the first, not its shape. */
function makeMark(i, transform) {
  const d = SHAPES[(i + Math.floor(i / 4)) % 4];
  return makeSvg("path.eqssl-mark", { ...lineStyle(i), "stroke-dasharray": false, d, transform });
}

/** What a curve looks like, for a legend. */
function makeKey(i) {
  const size = { viewBox: "0 0 44 14", width: 44, height: 14, "aria-hidden": "true" };
  const line = makeSvg("path.eqssl-line", { ...lineStyle(i), d: "M1,7H43" });
  return makeSvg("svg", size, line, makeMark(i, "translate(22 7)"));
}

/** The distance of about `count` round numbers between low and high. */
function tickStep(low, high, count = 5) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 2.5, 5, 10].map((m) => m * power).find((step) => step >= rough);
}

/** The multiples of a step between low and high. */
function ticks(low, high, step = tickStep(low, high)) {
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => (first + i) * step);
}

/**
 * The axes of a chart. The frame is { width, height, left, right, top, bottom }, the last four of them margins. An
 * axis is { low, high, ticks, text, name }: its ends, the numbers that are written at it, how, and what they are.
 * Returns x(value) and y(value), the place of a value, and the elements.
 */
function makeAxes({ width, height, left, right, top, bottom }, across, up) {
  const [end, floor] = [width - right, height - bottom];
  const x = (value) => left + ((value - across.low) / (across.high - across.low)) * (end - left);
  const y = (value) => floor - ((value - up.low) / (up.high - up.low)) * (floor - top);
  const text = (attributes, content) => makeSvg("text", { "text-anchor": "middle", ...attributes }, content);
  const rule = (at) => makeSvg("line.eqssl-rule", { x1: left, x2: end, y1: at, y2: at });
  const rules = up.ticks.map((value) => rule(y(value)));
  const start = { x: left - 7, "text-anchor": "end" };
  const rows = up.ticks.map((value) => text({ ...start, y: y(value) + 4 }, up.text(value)));
  const columns = across.ticks.map((value) => text({ x: x(value), y: floor + 17 }, across.text(value)));
  const beside = `translate(13 ${(top + floor) / 2}) rotate(-90)`;
  const below = text({ class: "eqssl-axis", x: (left + end) / 2, y: height - 6 }, across.name ?? "");
  const turned = text({ class: "eqssl-axis", transform: beside }, up.name ?? "");
  return { x, y, elements: [...rules, ...rows, ...columns, below, turned] };
}
