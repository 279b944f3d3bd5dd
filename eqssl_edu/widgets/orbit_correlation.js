// OrbitCorrelationExplorer: two views that turn, their orbit correlation as a polar plot, and six losses.

const READS = {
  plain: "reads κ[e] alone",
  mean: "mean of all bars",
  max: "longest bar",
  soft: "soft maximum",
  power2: "mean of κ²",
  power3: "mean of κ³",
};
const MARKS = { moved: ["▲", "▼"], still: "=", upright: "–" };
const HISTORY = 20; // moves in a trace

function render({ model, el }) {
  const closing = new AbortController();
  const facts = model.get("facts");
  const root = make("div", {
    class: "eqssl eqssl-oc",
    role: "group",
    "aria-label": "Orbit correlation explorer",
    "data-plots": facts.reflections ? 2 : 1,
  });
  // What the hand wants: ahead of the picture while a move is under way.
  const hand = { ...model.get("values").state };
  const ask = (changes) => {
    Object.assign(hand, changes);
    talk.ask(changes);
  };
  const chooser = makeChooser(facts, hand, ask);
  const views = ["first", "second"].map((key, index) => makeView(facts, key, index, hand, ask));
  const polar = makePolar(facts);
  const table = makeTable(facts);
  root.append(
    chooser.element,
    make(
      "div",
      { class: "eqssl-oc-body" },
      make(
        "div",
        { class: "eqssl-oc-views" },
        ...views.map((view) => view.element),
        make("p", { class: "eqssl-note" }, "The arrow at the edge marks what was the top."),
      ),
      polar.element,
      table.element,
    ),
  );
  const paint = (resting) => {
    const values = model.get("values");
    if (resting) Object.assign(hand, values.state);
    const bytes = asBytes(values.pixels);
    let offset = 0;
    [chooser, ...views].forEach((part, i) => {
      const { side, channels } = values.pictures[i];
      paintPicture(part.canvas, bytes, offset, side, "grey", channels);
      offset += channels * side ** 2;
      part.paint(values, resting);
    });
    polar.paint(values);
    table.paint(values);
  };
  el.append(root);
  const talk = converse({ model, root, paint, signal: closing.signal });
  return () => closing.abort();
}

// -- controls ---------------------------------------------------------------------------------------------------

function makeSlider(label, [min, max], onMove) {
  const range = { type: "range", min, max, step: 1, "aria-label": label };
  // JupyterLab binds arrow keys to whatever has the focus: the mark must be on the slider itself, not around it.
  const slider = make("input", { ...range, "data-lm-suppress-shortcuts": "true" });
  slider.addEventListener("input", () => onMove(Number(slider.value)));
  return slider;
}

function makeButton(text, label, onclick) {
  return make("button", { type: "button", "aria-label": label, title: label, onclick }, text);
}

function makeChooser({ count, images = [0, count - 1] }, hand, ask) {
  const canvas = make("canvas", { role: "img" });
  const [first, last] = images;
  const here = last - first + 1;
  const step = (by) => () => ask({ image: first + ((hand.image - first + by + here) % here) });
  const slider = makeSlider("Image", images, (image) => ask({ image }));
  const place = make("span", { class: "eqssl-oc-place" });
  const element = make(
    "div",
    { class: "eqssl-oc-chooser" },
    make("div", { class: "eqssl-oc-thumb" }, canvas),
    place,
    makeButton("‹", "Previous image", step(-1)),
    slider,
    makeButton("›", "Next image", step(1)),
    make("button", { type: "button", onclick: () => ask({ first: 0, second: 0 }) }, "Turn both views back"),
  );
  const paint = ({ state }, resting) => {
    const text = `Image ${state.image + 1} of ${count}`;
    place.textContent = text;
    canvas.setAttribute("aria-label", `${text}, upright`);
    if (!resting) return;
    slider.value = state.image;
    slider.setAttribute("aria-valuetext", text);
  };
  return { element, canvas, paint };
}

/** One view: its picture, a needle at what was the top, and the controls that turn it. */
function makeView({ rotations, reflections }, key, index, hand, ask) {
  const name = `View ${index + 1}`;
  const degrees = 360 / rotations;
  const canvas = make("canvas", { role: "img" });
  const text = make("span", { class: "eqssl-oc-turn" });
  const needle = make("div", { class: "eqssl-oc-needle" });
  const flip = () => (hand[key] >= rotations ? rotations : 0);
  const turn = (by) => () => ask({ [key]: flip() + ((hand[key] + by + rotations) % rotations) });
  const slider = makeSlider(`${name}, turn`, [0, rotations - 1], (k) => ask({ [key]: flip() + k }));
  const mirror = make("input", { type: "checkbox", "aria-label": `${name}, mirrored before the turn` });
  mirror.addEventListener("change", () =>
    ask({ [key]: (hand[key] % rotations) + (mirror.checked ? rotations : 0) }),
  );
  const steps = [
    makeButton("↺", `${name}: turn by ${degrees} degrees counter-clockwise`, turn(1)),
    slider,
    makeButton("↻", `${name}: turn by ${degrees} degrees clockwise`, turn(-1)),
  ];
  const element = make(
    "figure",
    { class: "eqssl-oc-view" },
    make("figcaption", {}, make("div", { class: "eqssl-title" }, name), text),
    make("div", { class: "eqssl-oc-frame" }, canvas, needle),
    rotations > 1 ? make("div", { class: "eqssl-oc-steps", role: "group", "aria-label": `Turn ${name.toLowerCase()}` }, ...steps) : "",
    reflections ? make("label", { class: "eqssl-oc-mirror" }, mirror, "mirrored") : "",
  );
  const needleTo = followAngle(needle);
  const paint = ({ state, views }, resting) => {
    text.textContent = views[index];
    canvas.setAttribute("aria-label", `${name}, ${views[index]}`);
    needleTo((state[key] % rotations) * degrees);
    if (!resting) return;
    slider.value = state[key] % rotations;
    slider.setAttribute("aria-valuetext", views[index]);
    mirror.checked = state[key] >= rotations;
  };
  return { element, canvas, paint };
}

/** Turn elements counter-clockwise to an angle by the shorter way; "upright" ones keep their text readable. */
function followAngle(element, upright = null) {
  let total = 0;
  return (degrees) => {
    total += ((((degrees - total) % 360) + 540) % 360) - 180;
    element.style.transform = `rotate(${-total}deg)`;
    if (upright) upright.style.transform = `rotate(${total}deg)`;
  };
}

// -- the orbit correlation --------------------------------------------------------------------------------------

const POLAR = { hub: 20, inner: 33, outer: 88, labels: 111 };

function makePolar({ rotations, reflections, labels }) {
  const step = 360 / rotations;
  const halfWidth = Math.min(17, 0.3 * step);
  const rings = reflections ? ["rotations", "reflections"] : ["rotations"];
  const plots = rings.map((ring, index) => makePlot(ring, index, { rotations, step, halfWidth, labels }));
  const bars = labels.map((_, origin) => makeBar(origin));
  const note = make("p", { class: "eqssl-note" });
  const axis = make("p", { class: "eqssl-note" });
  const key = (kind, ...text) => make("li", {}, make("span", { class: `eqssl-oc-key eqssl-oc-key-${kind}` }), ...text);
  const element = make(
    "figure",
    { class: "eqssl-oc-polar" },
    make("figcaption", { class: "eqssl-title" }, "Orbit correlation κ[g]"),
    make("div", { class: "eqssl-note" }, "The cosine of view 1's features and view 2's features moved by g."),
    make("div", { class: "eqssl-oc-plots" }, ...plots.map((plot) => plot.element)),
    make(
      "ul",
      { class: "eqssl-oc-legend" },
      key("plain", "what ", make("b", {}, "plain"), " reads"),
      key("mean", make("b", {}, "mean"), " of the bars"),
      key("max", make("b", {}, "max"), " of the bars"),
    ),
    note,
    axis,
  );
  const paint = ({ kappa, origins, scale, note: text }) => {
    const { inner, outer } = POLAR;
    const radius = (value) => {
      const share = (value - scale.low) / (scale.high - scale.low);
      return inner + Math.min(1, Math.max(0, share)) * (outer - inner);
    };
    plots.forEach((plot) => plot.paint(kappa, scale, radius));
    origins.forEach((origin, place) => {
      bars[origin].moveTo(plots[Math.floor(place / rotations)].layer, (place % rotations) * step);
      bars[origin].resize(wedge(inner, radius(kappa[place]), halfWidth));
    });
    note.textContent = text;
    axis.textContent = `The bars start at ${format(scale.low)}${scale.low ? ", not at 0" : ""}; the outer ring is ${format(scale.high)}.`;
  };
  return { element, paint };
}

/** The axis, the labels and the two rings of one polar plot; angle 0 points up, counter-clockwise. */
function makePlot(ring, index, { rotations, step, halfWidth, labels }) {
  const title = labels.length > rotations ? make("div", { class: "eqssl-oc-ring" }, ring) : "";
  const layer = makeSvg("g");
  const grid = makeSvg("g");
  const [mean, max] = ["mean", "max"].map((kind) => makeSvg("circle", { class: `eqssl-oc-${kind}` }));
  const places = labels.slice(index * rotations, (index + 1) * rotations).map((label, k) => {
    const [x, y] = polarPoint(POLAR.labels, k * step);
    const number = makeSvg("tspan", { x: 1.08 * x, dy: 14, class: "eqssl-oc-number" });
    const name = makeSvg("tspan", { class: "eqssl-oc-name" }, label);
    return { label, number, element: makeSvg("text", { x: 1.08 * x, y: y - 2 }, name, number) };
  });
  const plain = makeSvg("path", { class: "eqssl-oc-plain", d: wedge(POLAR.inner - 4, POLAR.outer + 5, halfWidth + 5) });
  const svg = makeSvg(
    "svg",
    { role: "img", viewBox: "-146 -130 292 256", class: "eqssl-oc-plot" },
    grid,
    layer,
    mean,
    max,
    ...(index === 0 ? [plain] : []),
    ...places.map((place) => place.element),
  );
  const element = make("div", {}, svg, title);
  let drawn = "";
  const paint = (kappa, scale, radius) => {
    if (drawn !== JSON.stringify(scale)) {
      drawn = JSON.stringify(scale);
      const count = Math.round((scale.high - scale.low) / scale.step);
      const ticks = Array.from({ length: count + 1 }, (_, i) => scale.low + i * scale.step);
      const shown = ticks.filter((_, i) => i % Math.ceil(count / 3) === count % Math.ceil(count / 3));
      grid.replaceChildren(
        ...ticks.map((value) => makeSvg("circle", { class: "eqssl-oc-tick", r: radius(value) })),
        ...shown.map((value) => {
          const [x, y] = polarPoint(radius(value), -step / 2);
          return makeSvg("text", { x, y: y + 3, class: "eqssl-oc-ticktext" }, format(value));
        }),
      );
    }
    mean.setAttribute("r", radius(kappa.reduce((sum, value) => sum + value, 0) / kappa.length));
    max.setAttribute("r", radius(Math.max(...kappa)));
    const own = kappa.slice(index * rotations, (index + 1) * rotations);
    own.forEach((value, k) => (places[k].number.textContent = format(value, 3)));
    const list = own.map((value, k) => `${places[k].label}: ${format(value, 3)}`).join(", ");
    svg.setAttribute("aria-label", `Polar plot of kappa for the ${ring}. ${list}`);
  };
  return { element, layer, paint };
}

/** A bar keeps its letter and colour; a turn of a view takes it to another place. */
function makeBar(origin) {
  const shape = makeSvg("path", { class: `eqssl-oc-bar eqssl-oc-bar-${origin}` });
  const letter = makeSvg("text", { y: 4, class: "eqssl-oc-letter" }, "ABCDEFGH"[origin]);
  const spoke = makeSvg("g", { class: "eqssl-oc-spoke" }, shape);
  const upright = makeSvg("g", { class: "eqssl-oc-spoke" }, letter);
  spoke.append(makeSvg("g", { transform: `translate(0 ${-POLAR.hub})` }, upright));
  const turnTo = followAngle(spoke, upright);
  const moveTo = (layer, degrees) => {
    if (spoke.parentNode !== layer) layer.append(spoke); // a reflection takes it to the other plot
    turnTo(degrees);
  };
  return { moveTo, resize: (path) => shape.setAttribute("d", path) };
}

function polarPoint(radius, degrees) {
  const angle = (degrees * Math.PI) / 180;
  return [-radius * Math.sin(angle), -radius * Math.cos(angle)].map((value) => Number(value.toFixed(2)));
}

/** The outline of a sector between two radii, around the upward direction. */
function wedge(inner, outer, halfWidth) {
  const [a, b] = [polarPoint(inner, halfWidth), polarPoint(outer, halfWidth)];
  const [c, d] = [polarPoint(outer, -halfWidth), polarPoint(inner, -halfWidth)];
  return `M${a}L${b}A${outer} ${outer} 0 0 1 ${c}L${d}A${inner} ${inner} 0 0 0 ${a}Z`;
}

/** A number with at most so many decimals, and a proper minus sign. */
function format(value, decimals = null) {
  const text = decimals === null ? String(Number(value.toFixed(4))) : value.toFixed(decimals);
  return text.replace("-", "−");
}

// -- the losses -------------------------------------------------------------------------------------------------

function makeTable({ count, kinds, tolerance }) {
  const head = ["similarity", "before any turn", "now", "what happened", "trace"];
  const rows = kinds.map((kind) => {
    const cells = ["before", "now"].map((name) => make("td", { class: "eqssl-oc-digits", "data-name": name }));
    const mark = make("span", { class: "eqssl-oc-mark", "aria-hidden": "true" });
    const words = make("span", {});
    const trace = makeTrace();
    const name = make("th", { scope: "row" }, make("span", {}, kind), make("small", {}, READS[kind]));
    const status = make("td", { class: "eqssl-oc-status" }, mark, words);
    const element = make("tr", { "data-kind": kind }, name, ...cells, status, make("td", {}, trace.element));
    return { element, cells, mark, words, trace };
  });
  const element = make(
    "div",
    // In a narrow place the table scrolls: keys reach it.
    { class: "eqssl-oc-losses", tabindex: 0, role: "group", "aria-label": "Losses" },
    make("div", { class: "eqssl-title" }, `Loss of all ${count} images`),
    make(
      "table",
      {},
      make("caption", { class: "eqssl-spoken" }, "InfoNCE in nats with each similarity"),
      make("thead", {}, make("tr", {}, ...head.map((text) => make("th", { scope: "col" }, text)))),
      make("tbody", {}, ...rows.map((row) => row.element)),
    ),
    make(
      "p",
      { class: "eqssl-note" },
      `InfoNCE in nats, over all pairs of views; all other images stay upright. A change of at most ${tolerance} is rounding.`,
    ),
  );
  const history = [];
  let last = null;
  const paint = (values) => {
    if (values !== last) history.push(values.losses.map((loss) => loss.change));
    last = values;
    history.splice(0, history.length - HISTORY);
    const limit = Math.max(1e-5, ...history.flat().map(Math.abs)); // one scale for all traces
    values.losses.forEach((loss, index) => {
      const { element, cells, mark, words, trace } = rows[index];
      element.dataset.status = loss.status;
      element.dataset.change = loss.change;
      cells.forEach((cell) => (cell.textContent = loss[cell.dataset.name].toFixed(6).replace("-", "−")));
      const { moved, [loss.status]: symbol } = MARKS;
      mark.textContent = loss.status === "moved" ? moved[loss.change > 0 ? 0 : 1] : symbol;
      words.replaceChildren(...describe(loss));
      trace.paint(history.map((changes) => changes[index]), limit);
    });
  };
  return { element, paint };
}

function describe({ status, text }) {
  if (status === "upright") return ["not turned"];
  if (status === "moved") return ["moved by ", make("b", {}, text)];
  return ["stood still", make("small", {}, ` (${text})`)];
}

/** The change of one loss over the last moves; a flat line stood still. */
function makeTrace() {
  const [width, height] = [84, 30];
  const middle = height / 2;
  const line = makeSvg("polyline");
  const dot = makeSvg("circle", { r: 3.5 });
  const zero = makeSvg("line", { x1: 0, x2: width, y1: middle, y2: middle });
  const element = makeSvg("svg", { viewBox: `0 0 ${width} ${height}`, class: "eqssl-oc-trace", "aria-hidden": "true" }, zero, line, dot);
  const paint = (changes, limit) => {
    const x = (i) => 4 + (i / (HISTORY - 1)) * (width - 9);
    const y = (change) => middle - (change / limit) * (middle - 4);
    // Steps: between two moves nothing happens.
    const points = changes.flatMap((change, i) => (i ? [[x(i), y(changes[i - 1])], [x(i), y(change)]] : [[x(0), y(change)]]));
    line.setAttribute("points", points.map((point) => point.map((value) => value.toFixed(1)).join(",")).join(" "));
    dot.setAttribute("cx", x(changes.length - 1));
    dot.setAttribute("cy", y(changes.at(-1)));
  };
  return { element, paint };
}

export default { render };
