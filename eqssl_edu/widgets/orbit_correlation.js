// OrbitCorrelationExplorer: two views that turn, their orbit correlation as a polar plot, and six losses.

const READS = {
  plain: "reads κ[e] alone",
  mean: "mean of all bars",
  max: "longest bar",
  soft: "soft maximum",
  power2: "mean of κ²",
  power3: "mean of κ³",
};
const POLAR = { hub: 20, inner: 33, outer: 88, labels: 111 }; // radii
const HISTORY = 20; // moves in a trace

function buildOrbitCorrelation({ facts, hand, ask }) {
  const { count, images = [0, count - 1] } = facts;
  const image = makeChooser(count, images, hand, ask);
  const back = makeButton("Turn both views back", () => ask({ first: 0, second: 0 }));
  const views = ["first", "second"].map((key, index) => makeView(facts, key, index, hand, ask));
  const [polar, table] = [makePolar(facts), makeTable(facts)];
  const note = make("p.eqssl-note", "Grab a picture and turn it. The arrow marks what was the top.");
  const parts = [make(".eqssl-oc-views.eqssl-stays", ...views, note), polar, table];
  const body = make(".eqssl-body.eqssl-oc-body", { "data-plots": facts.reflections ? 2 : 1 }, ...parts);
  const paint = (values, resting) => {
    const bytes = asBytes(values.pixels);
    let offset = 0;
    for (const [i, { canvas }] of [image, ...views].entries()) {
      const { side, channels } = values.pictures[i];
      paintPicture(canvas, bytes, offset, side, "grey", channels);
      offset += channels * side ** 2;
    }
    for (const view of views) view.paint(values, resting);
    polar.paint(values);
    table.paint(values);
  };
  return { controls: { image, back }, body, paint };
}

function makeChooser(count, [first, last], hand, ask) {
  const canvas = make("canvas", { role: "img" });
  const here = last - first + 1;
  const step = (by) => () => ask({ image: first + ((hand.image - first + by + here) % here) });
  const text = (image) => `Image ${image + 1} of ${count}`;
  const slider = makeSlider("Image", { min: first, max: last, onMove: (image) => ask({ image }), text });
  const place = make("span.eqssl-oc-place");
  const set = (image, resting) => {
    place.textContent = text(image);
    canvas.ariaLabel = `${text(image)}, upright`;
    slider.set(image, resting);
  };
  const [back, on] = [makeButton("‹", step(-1), "Previous image"), makeButton("›", step(1), "Next image")];
  const chooser = make(".eqssl-range", make(".eqssl-oc-thumb", canvas), place, back, slider, on);
  return Object.assign(chooser, { canvas, set });
}

/** One view: its picture, a needle at what was the top, and the controls that turn it. */
function makeView({ rotations, reflections }, key, index, hand, ask) {
  const name = `View ${index + 1}`;
  const degrees = 360 / rotations;
  const [canvas, text] = [make("canvas", { role: "img" }), make(".eqssl-note")];
  const needle = make(".eqssl-oc-needle");
  const needleTo = followAngle(needle);
  const frame = make(".eqssl-oc-frame", canvas, needle);
  const move = (g) => ask({ [key]: g });
  const handle = makeElementHandle(frame, rotations, () => hand[key], move);
  const go = (turn, mirrored = hand[key] >= rotations) => {
    ask({ [key]: ((turn + rotations) % rotations) + (mirrored ? rotations : 0) });
  };
  const turn = (by) => () => go((hand[key] % rotations) + by);
  const slider = makeSlider(`${name}, turn`, { max: rotations - 1, onMove: (k) => go(k) });
  const onMirror = (on) => go(hand[key] % rotations, on);
  const mirror = makeCheck("mirrored", onMirror, `${name}, mirrored before the turn`);
  const left = makeButton("↺", turn(1), `${name}: turn by ${degrees} degrees counter-clockwise`);
  const right = makeButton("↻", turn(-1), `${name}: turn by ${degrees} degrees clockwise`);
  const what = { role: "group", "aria-label": `Turn ${name.toLowerCase()}`, hidden: rotations === 1 };
  mirror.hidden = !reflections;
  const paint = ({ state, views }, resting) => {
    text.textContent = views[index];
    canvas.ariaLabel = `${name}, ${views[index]}`;
    needleTo((state[key] % rotations) * degrees);
    handle.set(state[key], resting);
    slider.set(state[key] % rotations, resting);
    if (resting) slider.ariaValueText = views[index];
    mirror.set(state[key] >= rotations, resting);
  };
  const caption = make("figcaption.eqssl-oc-line", make(".eqssl-title", name), text);
  const steps = make(".eqssl-oc-steps", what, left, slider, right);
  const view = make("figure.eqssl-oc-view", caption, handle, steps, mirror);
  return Object.assign(view, { canvas, paint });
}

/** Turn an element counter-clockwise to an angle by the shorter way; an "upright" one stays readable. */
function followAngle(element, upright = null) {
  let total = 0;
  return (degrees) => {
    total += ((((degrees - total) % 360) + 540) % 360) - 180;
    element.style.transform = `rotate(${-total}deg)`;
    if (upright) upright.style.transform = `rotate(${total}deg)`;
  };
}

function makePolar({ rotations, reflections, labels }) {
  const step = 360 / rotations;
  const halfWidth = Math.min(17, 0.3 * step);
  const rings = reflections ? ["rotations", "reflections"] : ["rotations"];
  const plots = rings.map((ring, index) => makePlot(ring, index, { rotations, step, halfWidth, labels }));
  const bars = labels.map((_, origin) => makeBar(origin));
  const [note, axis] = [make("p.eqssl-note"), make("p.eqssl-note")];
  const { inner, outer } = POLAR;
  const paint = ({ kappa, origins, scale, note: text }) => {
    const radius = (value) => {
      const share = (value - scale.low) / (scale.high - scale.low);
      return inner + Math.min(1, Math.max(0, share)) * (outer - inner);
    };
    for (const plot of plots) plot.paint(kappa, scale, radius);
    for (const [place, origin] of origins.entries()) {
      bars[origin].moveTo(plots[Math.floor(place / rotations)].layer, (place % rotations) * step);
      bars[origin].resize(wedge(inner, radius(kappa[place]), halfWidth));
    }
    note.textContent = text;
    const start = `The bars start at ${tickText(scale.low)}${scale.low ? ", not at 0" : ""}`;
    axis.textContent = ` ${start}; the outer ring is ${tickText(scale.high)}.`;
  };
  const key = (kind, ...text) => [make(`span.eqssl-oc-key.eqssl-oc-key-${kind}`), make("span", ...text)];
  const plain = key("plain", "what ", make("b", "plain"), " reads");
  const [mean, max] = ["mean", "max"].map((kind) => key(kind, make("b", kind), " of the bars"));
  const what = "The cosine of view 1's features and view 2's features moved by g.";
  const words = make(".eqssl-oc-words", makeLegend([plain, mean, max]), note, axis);
  const title = [make(".eqssl-title", "Orbit correlation κ[g]"), make(".eqssl-note", what)];
  const parts = [make("figcaption.eqssl-oc-line", ...title), make(".eqssl-oc-plots", ...plots), words];
  return Object.assign(make("figure.eqssl-oc-polar", ...parts), { paint });
}

/** The axis, the labels and the two rings of one polar plot; angle 0 points up, counter-clockwise. */
function makePlot(ring, index, { rotations, step, halfWidth, labels }) {
  const [layer, grid] = [makeSvg("g"), makeSvg("g")];
  const [mean, max] = ["mean", "max"].map((kind) => makeSvg(`circle.eqssl-oc-${kind}`));
  const own = (list) => list.slice(index * rotations, (index + 1) * rotations);
  const names = own(labels).map((label, k) => {
    const [x, y] = polarPoint(POLAR.labels, k * step);
    const number = makeSvg("tspan.eqssl-digits", { x: 1.08 * x, dy: 14 });
    const name = makeSvg("text", { x: 1.08 * x, y: y - 2 }, makeSvg("tspan.eqssl-oc-name", label), number);
    return Object.assign(name, { label, number });
  });
  const outline = wedge(POLAR.inner - 4, POLAR.outer + 5, halfWidth + 5);
  const plain = index === 0 ? [makeSvg("path.eqssl-oc-plain", { d: outline })] : [];
  const size = { role: "img", viewBox: "-146 -130 292 256" };
  const svg = makeSvg("svg.eqssl-oc-plot", size, grid, layer, mean, max, ...plain, ...names);
  const drawGrid = (scale, radius) => {
    const count = Math.round((scale.high - scale.low) / scale.step);
    const values = Array.from({ length: count + 1 }, (_, i) => scale.low + i * scale.step);
    const circles = values.map((value) => makeSvg("circle.eqssl-rule", { r: radius(value) }));
    const stride = Math.ceil(count / 3);
    const shown = values.filter((_, i) => i % stride === count % stride);
    const texts = shown.map((value) => {
      const [x, y] = polarPoint(radius(value), -step / 2);
      return makeSvg("text.eqssl-oc-tick", { x, y: y + 3 }, tickText(value));
    });
    grid.replaceChildren(...circles, ...texts);
  };
  let drawn = "";
  const paint = (kappa, scale, radius) => {
    if (drawn !== JSON.stringify(scale)) drawGrid(scale, radius);
    drawn = JSON.stringify(scale);
    setAttributes(mean, { r: radius(kappa.reduce((sum, value) => sum + value, 0) / kappa.length) });
    setAttributes(max, { r: radius(Math.max(...kappa)) });
    for (const [k, value] of own(kappa).entries()) names[k].number.textContent = decimal(value, 3);
    const list = names.map(({ label, number }) => `${label}: ${number.textContent}`).join(", ");
    svg.ariaLabel = `Polar plot of kappa for the ${ring}. ${list}`;
  };
  const title = make(".eqssl-oc-ring", labels.length > rotations ? ring : "");
  return Object.assign(make("div", title, svg), { layer, paint });
}

/** A bar keeps its letter and colour; a turn of a view takes it to another place. */
function makeBar(origin) {
  const shape = makeSvg("path.eqssl-oc-bar", { style: `fill: var(--eqssl-bar-${origin})` });
  const letter = makeSvg("text.eqssl-oc-name", { y: 4 }, "ABCDEFGH"[origin]);
  const upright = makeSvg("g.eqssl-oc-spoke", letter);
  const hub = makeSvg("g", { transform: `translate(0 ${-POLAR.hub})` }, upright);
  const spoke = makeSvg("g.eqssl-oc-spoke", shape, hub);
  const turnTo = followAngle(spoke, upright);
  const moveTo = (layer, degrees) => {
    if (spoke.parentNode !== layer) layer.append(spoke); // a reflection takes it to the other plot
    turnTo(degrees);
  };
  return { moveTo, resize: (d) => setAttributes(shape, { d }) };
}

function polarPoint(radius, degrees) {
  const angle = (degrees * Math.PI) / 180;
  return [-radius * Math.sin(angle), -radius * Math.cos(angle)].map(fixed);
}

/** The outline of a sector between two radii, around the upward direction. */
function wedge(inner, outer, halfWidth) {
  const [a, b] = [polarPoint(inner, halfWidth), polarPoint(outer, halfWidth)];
  const [c, d] = [polarPoint(outer, -halfWidth), polarPoint(inner, -halfWidth)];
  return `M${a}L${b}A${outer} ${outer} 0 0 1 ${c}L${d}A${inner} ${inner} 0 0 0 ${a}Z`;
}

const tickText = (value) => realMinus(String(Number(value.toFixed(4))));

function makeTable({ count, kinds, tolerance }) {
  const head = ["similarity", "before any turn", "now", "what happened", "trace"];
  const rows = kinds.map((kind) => {
    const numbers = ["before", "now"].map((name) => make("td.eqssl-digits", { "data-name": name }));
    const mark = make("span.eqssl-oc-mark", { "aria-hidden": "true" });
    const [words, trace] = [make("span"), makeTrace()];
    const name = make("th", { scope: "row" }, make("span", kind), make("small", READS[kind]));
    const status = make("td.eqssl-oc-status", mark, words);
    const row = make("tr", { "data-kind": kind }, name, ...numbers, status, make("td", trace));
    return Object.assign(row, { numbers, mark, words, trace });
  });
  const history = [];
  let last = null;
  const paint = (values) => {
    if (values !== last) history.push(values.losses.map((loss) => loss.change));
    last = values;
    history.splice(0, history.length - HISTORY);
    const limit = Math.max(1e-5, ...history.flat().map(Math.abs)); // one scale for all traces
    for (const [index, loss] of values.losses.entries()) {
      const row = rows[index];
      Object.assign(row.dataset, { status: loss.status, change: loss.change });
      for (const cell of row.numbers) cell.textContent = decimal(loss[cell.dataset.name], 6);
      const marks = { moved: loss.change > 0 ? "▲" : "▼", still: "=", upright: "–" };
      row.mark.textContent = marks[loss.status];
      row.words.replaceChildren(...describe(loss));
      const changes = history.map((move) => move[index]);
      row.trace.paint(changes, limit);
    }
  };
  const caption = make("caption.eqssl-spoken", "InfoNCE in nats with each similarity");
  const heads = make("thead", make("tr", ...head.map((text) => make("th", { scope: "col" }, text))));
  const what = "InfoNCE in nats, over all pairs of views; all other images stay upright.";
  const note = make(".eqssl-note", `${what} A change of at most ${tolerance} is rounding.`);
  const title = make(".eqssl-oc-line", make(".eqssl-title", `Loss of all ${count} images`), note);
  const table = make("table", caption, heads, make("tbody", ...rows));
  // In a narrow place the table scrolls: keys reach it.
  const place = { tabindex: 0, role: "group", "aria-label": "Losses" };
  return Object.assign(make(".eqssl-scroll.eqssl-oc-losses", place, title, table), { paint });
}

function describe({ status, text }) {
  if (status === "upright") return ["not turned"];
  if (status === "moved") return ["moved by ", make("b", text)];
  return ["stood still", make("small", ` (${text})`)];
}

/** The change of one loss over the last moves; a flat line stood still. */
function makeTrace() {
  const [width, height] = [84, 20];
  const middle = height / 2;
  const [line, dot] = [makeSvg("path"), makeSvg("circle", { r: 3 })];
  const zero = makeSvg("line.eqssl-rule", { x1: 0, x2: width, y1: middle, y2: middle });
  const size = { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" };
  const trace = makeSvg("svg.eqssl-oc-trace", size, zero, line, dot);
  trace.paint = (changes, limit) => {
    const x = (i) => 4 + (i / (HISTORY - 1)) * (width - 9);
    const y = (change) => middle - (change / limit) * (middle - 3);
    // Steps: between two moves nothing happens.
    const steps = changes.map((change, i) => `H${x(i).toFixed(1)}V${y(change).toFixed(1)}`);
    setAttributes(line, { d: `M${x(0)} ${y(changes[0]).toFixed(1)}${steps.join("")}` });
    setAttributes(dot, { cx: x(changes.length - 1), cy: y(changes.at(-1)) });
  };
  return trace;
}

const render = (view) => explore(view, "Orbit correlation explorer", "eqssl-oc", buildOrbitCorrelation);

export default { render };
