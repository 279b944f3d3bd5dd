// ExactnessLab: where the windows of a layer stand, before and after a quarter turn.

const SIDE = 300; // of a drawing, in its own units
const SLIDERS = { size: "size S", kernel_size: "kernel k", stride: "stride s", padding: "padding p" };

function buildLab({ facts, ask }) {
  const controls = {};
  for (const [key, label] of Object.entries(SLIDERS)) {
    const [min, max] = facts.limits[key];
    controls[key] = makeRange(label, { min, max, onMove: (value) => ask({ [key]: value }) });
  }
  const upright = makeDrawing("Upright image", "What the layer reads.");
  const turned = makeDrawing("Image turned by 90°", "Dots: what it reads. Rings: what it should read.");
  const verdict = make("span.eqssl-verdict");
  const measured = make("b.eqssl-digits");
  const [matched, law] = [make("p"), makeLaw(ask)];
  const key = (kind, text) => [make(`span.eqssl-lab-key.eqssl-lab-key-${kind}`), text];
  const legend = makeLegend([
    key("dot", "centre of a window that the layer reads"),
    key("ring", "where the turn has moved it"),
    key("strip", "behind the last window: never read"),
    key("moved", "where the turn has moved that strip"),
    key("window", "the first window"),
  ]);
  const note = make("p.eqssl-note", "A convolution with random weights, on noise, turned by 90°.");
  const said = [make("div", verdict), make("p", "Measured error: ", measured), note, matched];
  const parts = [...said, facts.rule ? law : "", legend];
  const words = make(".eqssl-lab-words", { role: "group", "aria-label": "Verdict" }, ...parts);
  const paint = (values) => {
    const { exact, error, windows } = values;
    upright.paint(values, false);
    turned.paint(values, true);
    verdict.dataset.good = exact;
    verdict.textContent = exact ? "✓ exact" : "✗ not exact";
    measured.textContent = error < 1e-9 ? rounding(error) : `${decimal(100 * error, 0)} %`;
    measured.dataset.error = error;
    matched.textContent = `${values.matched} of ${windows} rings have a dot.`;
    if (facts.rule) law.paint(values);
  };
  return { controls, body: make(".eqssl-body.eqssl-lab-body", upright, turned, words), paint };
}

function makeHatch(kind, angle) {
  const id = `eqssl-hatch-${Math.random().toString(36).slice(2)}`;
  const tile = { width: 7, height: 7, patternUnits: "userSpaceOnUse", patternTransform: `rotate(${angle})` };
  const stripes = makeSvg(`rect.eqssl-lab-hatch-${kind}`, { width: 3, height: 7 });
  return makeSvg("pattern", { id, ...tile }, stripes);
}

/** One square: the image, the zeros around it, the windows; with the turn also where they have gone. */
function makeDrawing(title, note) {
  const [stripHatch, movedHatch] = [makeHatch("strip", 45), makeHatch("moved", -45)];
  const image = makeSvg("rect.eqssl-lab-image");
  const strip = makeSvg("path.eqssl-lab-strip", { fill: `url(#${stripHatch.id})` });
  const moved = makeSvg("path.eqssl-lab-moved", { fill: `url(#${movedHatch.id})` });
  const [grid, dots, rings] = ["grid", "dots", "rings"].map((name) => makeSvg(`path.eqssl-lab-${name}`));
  const window = makeSvg("rect.eqssl-lab-window");
  const defs = makeSvg("defs", stripHatch, movedHatch);
  const size = { role: "img", viewBox: `-3 -3 ${SIDE + 6} ${SIDE + 6}` };
  const svg = makeSvg("svg.eqssl-lab-drawing", size, defs, image, strip, moved, grid, dots, rings, window);
  const paint = ({ state, side, starts, left_over: rest, windows, matched }, isTurned) => {
    const unit = SIDE / side;
    const { kernel_size: kernel, padding } = state;
    setSquare(image, padding * unit, state.size * unit);
    setSquare(window, 0, kernel * unit);
    const lines = Array.from({ length: side + 1 }, (_, i) => fixed(i * unit));
    grid.setAttribute("d", lines.map((at) => `M${at} 0V${SIDE}M0 ${at}H${SIDE}`).join(""));
    const [near, far] = [fixed(rest * unit), fixed(SIDE - rest * unit)];
    const right = `M${far} 0H${SIDE}V${SIDE}H${far}Z`;
    const below = `M0 ${far}H${SIDE}V${SIDE}H0Z`;
    const top = `M0 0H${SIDE}V${near}H0Z`; // there the turn moves the right one; the one below moves to the right
    strip.setAttribute("d", rest ? right + below : "");
    moved.setAttribute("d", rest && isTurned ? top + right : "");
    const centres = starts.map((start) => (start + kernel / 2) * unit);
    const points = centres.flatMap((y) => centres.map((x) => [x, y]));
    const dot = Math.max(1.3, Math.min(4.5, unit / 6));
    dots.setAttribute("d", points.map(([x, y]) => circle(x, y, dot)).join(""));
    const ring = Math.max(2.6, Math.min(8.5, unit / 3));
    // (x, y) counts from the upper left; a quarter turn counter-clockwise sends it to (y, SIDE - x).
    rings.setAttribute("d", isTurned ? points.map(([x, y]) => circle(y, SIDE - x, ring)).join("") : "");
    window.style.display = isTurned ? "none" : "";
    const what = `${windows} windows on ${side} by ${side} pixels, ${rest} columns left over on the right`;
    const gone = rest ? `; the ${rest} columns from the right are on top now` : "";
    svg.ariaLabel = `${title}: ${isTurned ? `${matched} of ${windows} rings have a dot${gone}` : what}`;
  };
  return Object.assign(make("figure", makeCaption(title, note), svg), { paint });
}

/** A circle as a part of a path: a thousand of them are then one element. */
function circle(x, y, r) {
  const half = (width) => `a${fixed(r)} ${fixed(r)} 0 1 0 ${fixed(width)} 0`;
  return `M${fixed(x - r)} ${fixed(y)}${half(2 * r)}${half(-2 * r)}`;
}

function setSquare(rect, corner, side) {
  const [at, size] = [fixed(corner), fixed(side)];
  setAttributes(rect, { x: at, y: at, width: size, height: size });
}

/** The rule with the numbers of this state in it, and buttons for the nearest sizes that keep it. */
function makeLaw(ask) {
  const sum = make("p.eqssl-digits.eqssl-lab-sum");
  const nearest = make(".eqssl-lab-nearest");
  const title = make(".eqssl-title", "The rule: exact if s divides S + 2p − k");
  const go = (value) => makeButton(String(value), () => ask({ size: value }), `Set the size to ${value}`);
  const paint = ({ state, remainder, nearest: sizes, exact }) => {
    const { size, kernel_size: k, stride, padding } = state;
    const rest = size + 2 * padding - k;
    sum.textContent = `(${size} + 2·${padding} − ${k}) mod ${stride} = ${rest} mod ${stride} = ${remainder}`;
    const words = exact ? ["Nothing is left over."] : ["Nearest exact sizes: ", ...sizes.map(go)];
    nearest.replaceChildren(...words);
  };
  return Object.assign(make(".eqssl-lab-law", title, sum, nearest), { paint });
}

const render = (view) => explore(view, "Exactness lab", "eqssl-lab", buildLab);

export default { render };
