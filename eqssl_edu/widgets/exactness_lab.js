// ExactnessLab: where the windows of a layer stand, before and after a quarter turn.

const SIDE = 300; // of a drawing, in its own units

const SLIDERS = {
  size: "size S",
  kernel_size: "kernel k",
  stride: "stride s",
  padding: "padding p",
};

function buildLab({ facts, ask }) {
  const sliders = Object.entries(SLIDERS).map(([key, label]) => {
    const [min, max] = facts.limits[key];
    return [key, makeRange(label, { min, max, onMove: (value) => ask({ [key]: value }) })];
  });
  const upright = makeDrawing("Upright image", "What the layer reads.");
  const turned = makeDrawing("Image turned by 90°", "Dots: what it reads. Rings: what it should read.");
  const verdict = make("span", { class: "eqssl-verdict" });
  const measured = make("b", { class: "eqssl-digits" });
  const matched = make("p", {});
  const law = makeLaw(ask);
  const key = (kind, text) => make("li", {}, make("span", { class: `eqssl-lab-key eqssl-lab-key-${kind}` }), text);
  const words = make(
    "div",
    { role: "group", class: "eqssl-lab-words", "aria-label": "Verdict" },
    make("div", {}, verdict),
    make("p", {}, "Measured error: ", measured),
    make("p", { class: "eqssl-note" }, "A convolution with random weights, on noise, turned by 90°."),
    matched,
    facts.rule ? law.element : "",
    make(
      "ul",
      { class: "eqssl-lab-legend" },
      key("dot", "centre of a window that the layer reads"),
      key("ring", "where the turn has moved it"),
      key("strip", "behind the last window: never read"),
      key("moved", "where the turn has moved that strip"),
      key("window", "the first window"),
    ),
  );
  const body = make("div", { class: "eqssl-lab-body" }, upright.element, turned.element, words);
  const paint = (values, resting) => {
    sliders.forEach(([name, slider]) => slider.set(values.state[name], resting));
    upright.paint(values, false);
    turned.paint(values, true);
    verdict.dataset.good = values.exact;
    verdict.textContent = values.exact ? "✓ exact" : "✗ not exact";
    measured.textContent = describeError(values.error);
    measured.dataset.error = values.error;
    const { windows, matched: count } = values;
    matched.textContent = `${count} of ${windows} rings have a dot.`;
    if (facts.rule) law.paint(values);
  };
  return { controls: sliders.map(([, slider]) => slider.element), body, paint };
}

function describeError(error) {
  if (error < 1e-9) return `${error.toExponential(0).replace("e-", "e−")} (rounding)`;
  return `${decimal(100 * error, 0)} %`;
}

/** One square: the image, the zeros around it, the windows; with the turn also where they have gone. */
function makeDrawing(title, note) {
  const shapes = {};
  const part = (tag, name) => (shapes[name] = makeSvg(tag, { class: `eqssl-lab-${name}` }));
  const hatch = (kind, angle) =>
    makeSvg(
      "pattern",
      {
        id: `eqssl-hatch-${Math.random().toString(36).slice(2)}`,
        width: 7,
        height: 7,
        patternUnits: "userSpaceOnUse",
        patternTransform: `rotate(${angle})`,
      },
      makeSvg("rect", { width: 3, height: 7, class: `eqssl-lab-hatch-${kind}` }),
    );
  const patterns = { strip: hatch("strip", 45), moved: hatch("moved", -45) };
  const svg = makeSvg(
    "svg",
    { role: "img", viewBox: `-3 -3 ${SIDE + 6} ${SIDE + 6}`, class: "eqssl-lab-drawing" },
    makeSvg("defs", {}, ...Object.values(patterns)),
    part("rect", "image"),
    part("path", "strip"),
    part("path", "moved"),
    part("path", "grid"),
    part("path", "dots"),
    part("path", "rings"),
    part("rect", "window"),
  );
  Object.entries(patterns).forEach(([kind, { id }]) => shapes[kind].setAttribute("fill", `url(#${id})`));
  const element = make(
    "figure",
    {},
    make("figcaption", {}, make("div", { class: "eqssl-title" }, title), make("div", { class: "eqssl-note" }, note)),
    svg,
  );
  const paint = ({ state, side, starts, left_over: rest, windows, matched }, isTurned) => {
    const unit = SIDE / side;
    const { size, kernel_size: kernel, padding } = state;
    square(shapes.image, padding * unit, size * unit);
    square(shapes.window, 0, kernel * unit);
    const lines = Array.from({ length: side + 1 }, (_, i) => fixed(i * unit));
    shapes.grid.setAttribute("d", lines.map((at) => `M${at} 0V${SIDE}M0 ${at}H${SIDE}`).join(""));
    const [near, far] = [fixed(rest * unit), fixed(SIDE - rest * unit)];
    const right = `M${far} 0H${SIDE}V${SIDE}H${far}Z`;
    const below = `M0 ${far}H${SIDE}V${SIDE}H0Z`;
    const top = `M0 0H${SIDE}V${near}H0Z`; // where the turn moves the right one; it moves the one below to the right
    shapes.strip.setAttribute("d", rest ? right + below : "");
    shapes.moved.setAttribute("d", rest && isTurned ? top + right : "");
    const centres = starts.map((start) => (start + kernel / 2) * unit);
    const points = centres.flatMap((y) => centres.map((x) => [x, y]));
    const dot = Math.max(1.3, Math.min(4.5, unit / 6));
    shapes.dots.setAttribute("d", points.map(([x, y]) => circle(x, y, dot)).join(""));
    const ring = Math.max(2.6, Math.min(8.5, unit / 3));
    // (x, y) counts from the upper left; a quarter turn counter-clockwise sends it to (y, SIDE - x).
    shapes.rings.setAttribute("d", isTurned ? points.map(([x, y]) => circle(y, SIDE - x, ring)).join("") : "");
    shapes.window.style.display = isTurned ? "none" : "";
    const what = `${windows} windows on ${side} by ${side} pixels, ${rest} columns left over on the right`;
    const gone = rest ? `; the ${rest} columns from the right are on top now` : "";
    const dots = `${matched} of ${windows} rings have a dot${gone}`;
    svg.setAttribute("aria-label", `${title}: ${isTurned ? dots : what}`);
  };
  return { element, paint };
}

const fixed = (value) => Number(value.toFixed(2));

/** A circle as a part of a path: a thousand of them are then one element. */
function circle(x, y, r) {
  const half = (width) => `a${fixed(r)} ${fixed(r)} 0 1 0 ${fixed(width)} 0`;
  return `M${fixed(x - r)} ${fixed(y)}${half(2 * r)}${half(-2 * r)}`;
}

function square(rect, corner, side) {
  for (const [name, value] of Object.entries({ x: corner, y: corner, width: side, height: side })) rect.setAttribute(name, fixed(value));
}

/** The rule with the numbers of this state in it, and buttons for the nearest sizes that keep it. */
function makeLaw(ask) {
  const sum = make("p", { class: "eqssl-digits eqssl-lab-sum" });
  const nearest = make("div", { class: "eqssl-lab-nearest" });
  const element = make(
    "div",
    { class: "eqssl-lab-law" },
    make("div", { class: "eqssl-title" }, "The rule: exact if s divides S + 2p − k"),
    sum,
    nearest,
  );
  const paint = ({ state, remainder, nearest: sizes, exact }) => {
    const { size, kernel_size: k, stride, padding } = state;
    sum.textContent = `(${size} + 2·${padding} − ${k}) mod ${stride} = ${size + 2 * padding - k} mod ${stride} = ${remainder}`;
    const go = (value) => makeAction(String(value), `Set the size to ${value}`, () => ask({ size: value }));
    nearest.replaceChildren(...(exact ? ["Nothing is left over."] : ["Nearest exact sizes: ", ...sizes.map(go)]));
  };
  return { element, paint };
}

const render = ({ model, el }) =>
  explore({ model, el, name: "Exactness lab", className: "eqssl-lab", build: buildLab });

export default { render };
