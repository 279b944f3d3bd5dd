// CircleExplorer: two turned views with their labels as arrows, and kappa as a wave with the samples of C4 and C8.

const WAVE = { width: 540, height: 210, left: 66, right: 14, top: 12, bottom: 24 };
/** A number as it stands below a letter. */
const subscript = (number) => String(number).replace(/./g, (c) => (c === "-" ? "₋" : "₀₁₂₃₄₅₆₇₈₉"[c]));
const SQUARE = "M-6,-6H6V6H-6Z";
const STAR = "M0,-9L2.4,-2.8 9,-2.8 3.8,1.3 5.8,7.8 0,4 -5.8,7.8 -3.8,1.3 -9,-2.8 -2.4,-2.8Z";
const SIGNS = { 4: [SQUARE, 1], 0: [STAR, 4] }; // shape and colour, by the number of angles
const signOf = (order) => SIGNS[order] ?? [SHAPES[0], 2];
const lineOf = (order) => ({ ...lineStyle(signOf(order)[1]) });
const makeSign = (order) =>
  makeSvg("path.eqssl-mark", { ...lineOf(order), "stroke-dasharray": null, d: signOf(order)[0] });
const POINTS = Array.from({ length: 181 }); // of a curve, one every two degrees
const radians = (degrees) => (degrees * Math.PI) / 180;
const degreesOf = ([x, y]) => ((Math.atan2(y, x) * 180) / Math.PI + 360) % 360;

/** A wave at an angle in degrees, from its coefficients. */
const waveAt = ([[mean], ...rest], theta) =>
  rest.reduce((sum, [re, im], i) => {
    const phase = (i + 1) * radians(theta);
    return sum + 2 * (re * Math.cos(phase) - im * Math.sin(phase));
  }, mean);

function buildCircle({ facts, hand, ask }) {
  const { step, types, partners } = facts;
  const random = () => step * Math.floor((Math.random() * 360) / step);
  const draw = makeButton("Draw two hidden turns", () => ask({ first: random(), second: random() }));
  const names = { image: "the same image", other: "another image" };
  const choices = partners.map((name) => [name, names[name]]);
  const partner = makeSwitch("View 2 shows", choices, (name) => ask({ partner: name }));
  const numbers = types.map((type) => [type, realMinus(`${type}`), `labels of type ${type}`]);
  const k = makeSwitch("Labels of type", numbers, (type) => ask({ k: type }));
  const views = ["first", "second"].map((key, index) => makeTurnedView(facts, key, index, hand, ask));
  const chart = makeWave(facts, ask);
  const text = (angle) => `${angle}°`;
  const theta = makeRange("θ", { max: 360, onMove: (angle) => ask({ theta: angle }), text });
  theta.slider.ariaLabel = "θ in degrees";
  const [table, turned] = [makeMaxima(), makeThird(facts)];
  const [note, aside] = [make("p.eqssl-circle-note"), make("p.eqssl-note")];
  const place = make(".eqssl-circle-views.eqssl-stays", ...views);
  const words = make(".eqssl-circle-words", table, note, aside);
  const body = make(
    ".eqssl-body.eqssl-circle-body",
    place,
    make(".eqssl-circle-wave", chart, theta),
    turned,
    words,
  );
  const paint = (values, resting) => {
    const { state } = values;
    for (const view of views) view.paint(values, resting);
    chart.paint(values);
    table.paint(values);
    turned.paint(values);
    theta.set(state.theta, resting);
    const here = chart.readAt(values, state.theta);
    turned.value.textContent = here.text;
    if (resting) theta.slider.ariaValueText = here.text;
    note.textContent = values.note;
    aside.textContent = values.aside;
  };
  const controls = partners.length > 1 ? { draw, partner, k } : { draw, k };
  return { controls, body, paint };
}

/** A round picture with an arrow on it; at 0° it points up, as the arrow of an upright picture does. */
function makeDisc(name) {
  const canvas = make("canvas", { role: "img" });
  const arrow = makeSvg("path.eqssl-circle-arrow");
  const svg = makeSvg("svg", { viewBox: "-50 -50 100 100", "aria-hidden": "true" }, arrow);
  const disc = make(".eqssl-circle-disc", canvas, svg);
  disc.paint = ({ pixels, side, channels }, [x, y], text) => {
    paintPicture(canvas, asBytes(pixels), 0, side, "grey", channels);
    const length = 44 * Math.min(1.1, Math.hypot(x, y));
    const head = Math.min(12, 0.6 * length);
    const shaft = length - head;
    const d =
      length < 2
        ? "M-3,0A3,3 0 1 1 3,0A3,3 0 1 1 -3,0Z"
        : `M-2,0V${fixed(-shaft)}H-7L0,${fixed(-length)}L7,${fixed(-shaft)}H2V0Z`;
    setAttributes(arrow, { d, transform: `rotate(${fixed(-degreesOf([x, y]))})` });
    canvas.ariaLabel = `${name}, ${text}`;
  };
  return disc;
}

function makeTurnedView({ step, types }, key, index, hand, ask) {
  const name = `View ${index + 1}`;
  const letter = "ab"[index];
  const disc = makeDisc(name);
  const turn = (angle) => {
    const wish = (step * Math.round(angle / step)) % 360;
    ask({ [key]: wish });
    return wish;
  };
  const angles = Array.from({ length: 8 }, (_, i) => 45 * i);
  const handle = makeHandle(disc, { angles, at: () => hand[key], turn, within: 3 });
  const text = (angle) => `${letter} = ${angle}°`;
  const label = `${name}: turn ${letter} in degrees`;
  const slider = makeSlider(label, { max: 360 - step, step, onMove: (angle) => ask({ [key]: angle }), text });
  const [angle, arrow] = [make("span.eqssl-digits"), make(".eqssl-note.eqssl-digits")];
  const paint = ({ state, pictures, arrows, confidence }, resting) => {
    const place = types.indexOf(state.k);
    const pair = arrows[index][place];
    const none = Math.hypot(...pair) < 0.01;
    const words = none ? "no direction" : `${confidence[index][place]} at ${degreesOf(pair).toFixed(0)}°`;
    angle.textContent = text(state[key]);
    arrow.textContent = `o${subscript(state.k)}: ${words}`;
    disc.paint(pictures[index], pair, `turned by ${state[key]}°; label of type ${state.k}: ${words}`);
    handle.set(state[key], resting);
    slider.set(state[key], resting);
  };
  const caption = make("figcaption.eqssl-title", name, angle);
  return Object.assign(make("figure", caption, handle, slider, arrow), { paint });
}

/** View 1 as it looks when it is turned on by θ, and its label with it. */
function makeThird({ types }) {
  const disc = makeDisc("View 1 turned on by θ");
  const value = make("span.eqssl-digits");
  const paint = ({ state, pictures, arrows }) => {
    const [x, y] = arrows[0][types.indexOf(state.k)];
    // The picture turns as a whole, so the arrow on it has gone by θ already: the rest of k θ is its own.
    const rest = radians((state.k - 1) * state.theta);
    const [cos, sin] = [Math.cos(rest), Math.sin(rest)];
    disc.paint(pictures[0], [x * cos - y * sin, x * sin + y * cos], `θ = ${state.theta}°`);
    disc.style.rotate = `${-state.theta}deg`;
  };
  const caption = make("figcaption.eqssl-title", "View 1 + θ");
  const note = make(".eqssl-note", "against view 2");
  return Object.assign(make("figure.eqssl-circle-third", caption, disc, value, note), { paint, value });
}

/** kappa over 0 .. 360 degrees; a press or a drag on it is θ. */
function makeWave({ angles, group }, ask) {
  const grid = makeSvg("g");
  const [exact, curve] = ["exact", "curve"].map((name) => makeSvg(`path.eqssl-line.eqssl-circle-${name}`));
  const [levels, marks] = [makeSvg("g"), makeSvg("g")];
  const floor = WAVE.height - WAVE.bottom;
  const tag = makeSvg("text", { x: 5, y: floor - 6 }, "b − a");
  const truth = makeSvg("g.eqssl-circle-truth", makeSvg("line", { y1: WAVE.top, y2: floor }), tag);
  const dot = makeSvg("circle", { r: 6 });
  const cursor = makeSvg("g.eqssl-circle-cursor", makeSvg("line", { y1: WAVE.top, y2: floor }), dot);
  const size = { role: "img", viewBox: `0 0 ${WAVE.width} ${WAVE.height}` };
  const svg = makeSvg("svg.eqssl-chart", size, grid, levels, exact, truth, curve, marks, cursor);
  let place = null;
  let drawn = "";
  const follow = (event) => {
    const [share] = placeIn(svg, event);
    const inside = (share * WAVE.width - WAVE.left) / (WAVE.width - WAVE.left - WAVE.right);
    ask({ theta: Math.round(360 * Math.min(1, Math.max(0, inside))) });
  };
  onDrag(svg, follow, follow);
  /** An axis with round ends that holds all values; of six digits, so that rounding does not make it jump. */
  const axisOf = (values) => {
    const [least, most] = [Math.min, Math.max].map((end) => Number(end(...values).toFixed(6)));
    const unit = tickStep(least, Math.max(most, least + 1e-5), 4);
    const [low, high] = [unit * Math.floor(least / unit - 0.1), unit * Math.ceil(most / unit)];
    const text = (value) => realMinus(String(Number(value.toFixed(6))));
    return { low, high, ticks: ticks(low, high, unit), text, name: "κ(θ)" };
  };
  const across = { low: 0, high: 360, ticks: ticks(0, 360, 45), text: (value) => `${value}°` };
  /** An angle, and for C_n the element nearest to it. */
  const near = (theta) => (angles ? (Math.round((theta * angles) / 360) * 360) / angles : theta);
  const readAt = ({ wave }, theta) => {
    const at = near(theta);
    const value = waveAt(wave, at);
    return { at, value, text: `κ(${figures(at, 4)}°) = ${decimal(value, 4)}` };
  };
  const paint = (values) => {
    const { wave, rows, state } = values;
    const angleAt = (i) => 2 * i;
    const curves = [wave, values.exact ?? wave].map((each) => POINTS.map((_, i) => waveAt(each, angleAt(i))));
    const up = axisOf(curves.flat());
    if (drawn !== up.ticks.join()) {
      place = makeAxes(WAVE, across, up);
      grid.replaceChildren(...place.elements);
      drawn = up.ticks.join();
    }
    const { x, y } = place;
    const through = (heights) =>
      `M${heights.map((value, i) => `${x(angleAt(i)).toFixed(1)},${y(value).toFixed(1)}`).join("L")}`;
    setAttributes(curve, { d: angles ? null : through(curves[0]) });
    setAttributes(exact, { d: values.exact ? through(curves[1]) : null });
    const makeLevel = ({ order }) => makeSvg("line.eqssl-circle-level", lineOf(order));
    for (const [i, line] of childrenOf(levels, rows, makeLevel).entries()) {
      const height = y(rows[i].max);
      setAttributes(line, { x1: x(0), x2: x(360), y1: height, y2: height });
    }
    const samples = rows.flatMap(({ order, at }) => {
      const all = Array.from({ length: order }, (_, i) => (360 * i) / order);
      const first = at < 1e-9 ? [360] : [];
      const best = (angle) => [at, ...first].includes(angle);
      return (order ? [...all, 360] : [at]).map((angle) => ({ order, angle, best: best(angle) }));
    });
    for (const [i, mark] of childrenOf(marks, samples, ({ order }) => makeSign(order)).entries()) {
      const { angle, best } = samples[i];
      const at = `translate(${fixed(x(angle))} ${fixed(y(waveAt(wave, angle)))})`;
      setAttributes(mark, { transform: `${at} scale(${best ? 1.25 : 0.8})` });
    }
    const { true: turn } = values;
    setAttributes(truth, {
      visibility: turn === null ? "hidden" : null,
      transform: `translate(${fixed(x(turn ?? 0))} 0)`,
    });
    const here = readAt(values, state.theta);
    setAttributes(cursor, { transform: `translate(${fixed(x(here.at))} 0)` });
    setAttributes(dot, { cy: fixed(y(here.value)) });
    const found = rows
      .map(({ name, max, at }) => `${name} ${decimal(max, 4)} at ${figures(at, 4)}°`)
      .join(", ");
    svg.ariaLabel = `kappa over θ for ${group}. Largest: ${found}. ${here.text}`;
  };
  const what = "View 2 against view 1 turned on by θ. Drag in the picture, or slide.";
  const figure = make("figure", makeCaption("Orbit correlation κ(θ), a wave", what), svg);
  return Object.assign(figure, { paint, readAt });
}

function makeMaxima() {
  const head = ["over", "largest κ", "at", "misses", "can miss"];
  const body = make("tbody");
  const caption = make("caption.eqssl-spoken", "Largest kappa over some angles");
  const heads = make("thead", make("tr", ...head.map((text) => make("th", { scope: "col" }, text))));
  const makeRow = ({ name, order }) => {
    const size = { viewBox: "-10 -10 20 20", width: 18, height: 18, "aria-hidden": "true" };
    const title = make("th", { scope: "row" }, makeSvg("svg", size, makeSign(order)), name);
    return make("tr", { "data-name": name }, title, ...head.slice(1).map(() => make("td.eqssl-digits")));
  };
  const share = (value) => (value === null ? "–" : figures(value, 2));
  const paint = ({ rows }) => {
    for (const [i, row] of childrenOf(body, rows, makeRow).entries()) {
      const { max, at, misses, bound } = rows[i];
      const texts = [decimal(max, 4), `${figures(at, 4)}°`, share(misses), share(bound)];
      for (const [j, text] of texts.entries()) row.cells[j + 1].textContent = text;
      Object.assign(row.dataset, { max, at });
    }
  };
  return Object.assign(make(".eqssl-scroll", make("table", caption, heads, body)), { paint });
}

const render = (view) => explore(view, "Circle explorer", "eqssl-circle", buildCircle);

export default { render };
