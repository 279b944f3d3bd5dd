// LearnedActionExplorer: a fitted map applied again and again beside the truth, and errors of all networks as bars.

const PLANE = 100; // from the middle of the plane to the farthest point
const RAISED = ["⁰", "¹", "²", "³", "⁴"];

function buildLearnedAction({ facts, hand, ask }) {
  const { sources, elements, images } = facts;
  const words = { images: "like the fitted", report: "another kind" };
  const kinds = sources.map((name) => [name, words[name]]);
  const source = makeSwitch("Images", kinds, (name) => ask({ source: name }));
  const [min, max] = images;
  const image = makeRange("Image", { min, max, onMove: (place) => ask({ image: place }), text: counted });
  const turns = elements.map((name, g) => [g, name, `g = ${name}`]).slice(1);
  const element = makeSwitch("g", turns, (g) => ask({ element: g }));
  const last = RAISED.length - 1;
  const times = makeRange("applied", { max: last, onMove: (m) => ask({ times: m }), text: (m) => `${m} ×` });
  const onMore = () => ask({ times: (hand.times + 1) % (last + 1) });
  const more = makeButton("Apply once more", onMore, "Apply once more, and after four times start again");
  const untrained = makeCheck("untrained copy", (on) => ask({ untrained: on }));
  const [steps, plane, table] = [makeSteps(facts), makePlane(facts), makeErrorTable(facts, ask)];
  const paint = (values) => {
    for (const part of [steps, plane, table]) part.paint(values);
  };
  const controls = { image, element, times, more, untrained };
  if (sources.length > 1) controls.source = source;
  const body = make(".eqssl-body.eqssl-act-body", steps, plane, table);
  return { controls, body, paint };
}

/** What is applied m times, as it is written. */
const powerOf = (letter, m) => [letter, ...(m > 1 ? [RAISED[m]] : [])].join("");
const trueName = (m) => (m ? `f(${powerOf("g", m)}x)` : "f(x)");
const fittedName = (m) => (m ? `${powerOf("R", m)}f(x)` : "f(x)");

/** For each m the image, its features and what the fitted map makes of those of the first. */
function makeSteps({ elements }) {
  const rows = RAISED.map((_, m) => {
    const [picture, truth, guess] = ["", "", ""].map(() => make("canvas", { role: "img" }));
    const [name, missed] = [make("b"), make("b.eqssl-digits")];
    const strip = (kind, text, canvas) =>
      make(`.eqssl-act-strip.eqssl-act-${kind}`, make("span", text), canvas);
    const strips = make(
      "div",
      strip("true", trueName(m), truth),
      m ? strip("fitted", fittedName(m), guess) : "",
    );
    const apart = make(".eqssl-act-apart", ...(m ? [missed, make(".eqssl-note", "apart")] : []));
    const row = make(".eqssl-act-step", make(".eqssl-act-thumb", picture), name, strips, apart);
    return Object.assign(row, { picture, truth, guess, name, missed });
  });
  const note = make("p.eqssl-note");
  const paint = (values) => {
    const { state, side, channels, numbers, texts } = values;
    const [pixels, truth, fitted] = ["pixels", "true", "fitted"].map((key) => asBytes(values[key]));
    for (const [m, row] of rows.entries()) {
      row.style.visibility = m > state.times ? "hidden" : "";
      const name = elements[values.steps[m]];
      row.name.textContent = name;
      paintPicture(row.picture, pixels, m * channels * side ** 2, side, "grey", channels);
      row.picture.ariaLabel = `The image moved by ${name}`;
      paintStrip(row.truth, truth, m * numbers, numbers);
      row.truth.ariaLabel = `Moving part of the features of the image moved by ${name}`;
      paintStrip(row.guess, fitted, m * numbers, numbers);
      row.guess.ariaLabel = `The fitted map applied ${m} times to the moving part of the first`;
      if (m) row.missed.textContent = texts ? texts[m] : "nothing moves";
    }
    const percent = decimal(100 * values.share, 0);
    const few = numbers < values.dimension;
    const which = few ? `The ${numbers} numbers that move most (${percent} %)` : `All ${numbers} numbers`;
    note.textContent = `${which}, less their mean over all turns: blue −, white 0, orange +.`;
  };
  const caption = makeCaption(
    "The truth and the fitted map",
    "Apart: squared distance, in units of what moves.",
  );
  return Object.assign(make("figure.eqssl-act-steps", caption, ...rows, note), { paint });
}

/** Bytes as one row of colours. */
function paintStrip(canvas, bytes, start, count) {
  if (canvas.width !== count || canvas.height !== 1) Object.assign(canvas, { width: count, height: 1 });
  const context = canvas.getContext("2d");
  const picture = context.createImageData(count, 1);
  const pixels = new Uint32Array(picture.data.buffer);
  for (let i = 0; i < count; i++) pixels[i] = colourTable.diverging[bytes[start + i]];
  context.putImageData(picture, 0, 0);
}

/** Dots where the features of the turned images are, arrows where the fitted map goes. */
function makePlane({ elements }) {
  const id = `eqssl-arrow-${Math.random().toString(36).slice(2)}`;
  const size = { viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 6, markerHeight: 6, orient: "auto" };
  const head = makeSvg("marker.eqssl-act-head", { id, ...size }, makeSvg("path", { d: "M0,0L8,4L0,8Z" }));
  const ring = makeSvg("circle.eqssl-act-ring");
  const cross = makeSvg("path.eqssl-act-cross", { d: "M-5,0H5M0,-5V5" });
  const makeDot = (name) => makeSvg("g.eqssl-act-dot", makeSvg("circle", { r: 6 }), makeSvg("text", name));
  const dots = elements.map(makeDot);
  const stages = RAISED.slice(1).map(() => {
    const [gap, arrow] = [makeSvg("path.eqssl-act-gap"), makeSvg("path.eqssl-act-arrow")];
    setAttributes(arrow, { "marker-end": `url(#${id})` });
    return { gap, arrow };
  });
  const lines = [...stages.map(({ gap }) => gap), ...stages.map(({ arrow }) => arrow)];
  const frame = { role: "img", viewBox: "-128 -122 256 244" };
  const svg = makeSvg("svg.eqssl-act-plane", frame, makeSvg("defs", head), ring, cross, ...dots, ...lines);
  const note = make(".eqssl-note");
  const place = ([x, y]) => [fixed(PLANE * x), fixed(-PLANE * y)];
  const paint = ({ state, steps, dots: points, path, ring: radius, kept, missed, texts }) => {
    setAttributes(ring, { r: fixed(PLANE * radius) });
    const reached = new Set(steps.slice(0, state.times + 1));
    for (const [g, dot] of dots.entries()) {
      const [x, y] = place(points[g]);
      dot.dataset.reached = reached.has(g);
      setAttributes(dot, { transform: `translate(${x} ${y})` });
      // The name stands on the far side from the middle.
      const far = Math.hypot(x, y) || 1;
      setAttributes(dot.lastChild, { x: fixed((18 * x) / far), y: fixed((17 * y) / far + 4) });
      dot.style.display = missed ? "" : "none";
    }
    for (const [i, { gap, arrow }] of stages.entries()) {
      const [from, to, truth] = [path[i], path[i + 1], points[steps[i + 1]]].map(place);
      const seen = missed && i < state.times;
      setAttributes(arrow, { d: seen ? `M${from}L${to}` : null });
      setAttributes(gap, { d: seen ? `M${to}L${truth}` : null });
    }
    const percent = decimal(100 * kept, 0);
    note.textContent = missed
      ? `This plane keeps ${percent} %. Ring: typical length.`
      : "All turned images have the same features.";
    const apart = missed ? `they are ${texts[state.times]} apart` : "nothing moves";
    svg.ariaLabel = `After ${state.times} times the fitted map and the truth: ${apart}`;
  };
  const keys = { true: "f(gᵐx)", fitted: "Rᵐf(x)", gap: "apart" };
  const key = ([kind, text]) => [make(`span.eqssl-act-key.eqssl-act-key-${kind}`), text];
  const legend = makeLegend(Object.entries(keys).map(key));
  const caption = make("figcaption", make(".eqssl-title", "Where the features go"), note);
  return Object.assign(make("figure", caption, svg, legend), { paint });
}

/** All networks, filled, and their untrained copies, hollow; rows are chosen by their buttons. */
function makeErrorTable({ networks, rows, columns }, ask) {
  const head = (text) => make("th", { scope: "col" }, text);
  const bar = (kind, [error]) => {
    const width = `${fixed(100 * Math.min(1, error ?? 0))}%`;
    return make(`span.eqssl-act-bar.eqssl-act-${kind}`, { style: `width: ${width}` });
  };
  const cell = (trained, untrained) => {
    const bars = make(".eqssl-act-bars", bar("untrained", untrained), bar("trained", trained));
    const texts = [make("b", trained[1]), make("span.eqssl-note", `(${untrained[1]})`)];
    return make("td.eqssl-digits", make("div", bars, ...texts));
  };
  const lines = rows.map(([trained, untrained], i) => {
    const name = networks[i];
    const button = makeButton(name, () => ask({ network: name }));
    const cells = columns.map((_, column) => cell(trained[column], untrained[column]));
    const line = make("tr", { "data-network": name }, make("th", { scope: "row" }, button), ...cells);
    return Object.assign(line, { button, name });
  });
  const about = "For each network, and in brackets its untrained copy: errors as shares of what moves";
  const [filled, hollow] = ["trained", "untrained"].map((kind) =>
    make(`span.eqssl-act-bar.eqssl-act-${kind}`),
  );
  const corner = make("th", { scope: "col" }, make("div", filled, "network", hollow, "(untrained copy)"));
  const heads = make("thead", make("tr", corner, ...columns.map(head)));
  const table = make("table", make("caption.eqssl-spoken", about), heads, make("tbody", ...lines));
  const paint = ({ state }) => {
    for (const line of lines) {
      line.button.ariaPressed = line.name === state.network;
      line.dataset.here = line.name === state.network;
    }
  };
  // Where it is too wide it scrolls, also by keyboard.
  const place = { tabindex: 0, role: "group", "aria-label": "Errors of all networks" };
  return Object.assign(make(".eqssl-scroll.eqssl-act-errors", place, table), { paint });
}

const render = (view) => explore(view, "Learned action explorer", "eqssl-act", buildLearnedAction);

export default { render };
