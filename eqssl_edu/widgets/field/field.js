// FieldExplorer: the turned image, the feature maps of one or two networks, and the error against the angle.

const DEGREES_PER_SECOND = 45;
const MARGINS = { left: 46, right: 18, top: 8, bottom: 37 }; // of the chart
const NEAR = 8; // degrees: let go no further from a group element, the image settles there
const SECONDS_PER_STEP = 1.5; // of an animation with reduced motion: one group element after the other

function buildField({ model, facts, hand, ask, complain, proceed, signal }) {
  const { networks } = facts;
  const shown = () => model.get("values").state;
  const controls = makeControls(facts, ask);
  const turn = (wish) => {
    const angle = facts.elements.some((element) => element.angle === wish)
      ? wish
      : roundTo(facts.angle_step, wish);
    controls.angle.follow(angle);
    ask({ angle, animate: false });
    return angle;
  };
  const image = makeImage(facts, { place: shown, at: () => hand.angle, turn, ask, complain });
  const curve = makeCurve(networks, signal);
  const panels = networks.map((network, index) => makePanel(network, index, facts.fixed_channels, ask));
  // A long group axis: one network below the other.
  const shape = { "data-wide": String(facts.elements.length > 4), "data-networks": networks.length };
  const pictures = [make(".eqssl-top", image, curve), make(".eqssl-panels", ...panels)];
  const body = make(".eqssl-body.eqssl-pictures", shape, ...pictures);
  const paint = (values, resting) => {
    const bytes = asBytes(values.pixels);
    let offset = image.paint(values, bytes, resting);
    for (const [index, panel] of values.panels.entries()) {
      offset = panels[index].paint(panel, values.state, bytes, offset);
    }
    curve.paint(values, model.get("curve"));
  };
  let seen = true; // an animation rests while nobody can see it
  const sight = new IntersectionObserver((entries) => {
    seen = entries.at(-1).isIntersecting;
    proceed();
  });
  sight.observe(body);
  signal.addEventListener("abort", () => sight.disconnect());
  const next = makeAnimation(facts, proceed, signal);
  return { controls, body, paint, moving: () => (seen ? next(shown()) : null) };
}

function makeControls(facts, ask) {
  const buttons = facts.elements.map(({ label, angle, mirror }) => {
    const name = `${mirror ? "mirror, then " : ""}turn by ${angle} degrees`;
    return makeButton(label, () => ask({ angle, mirror }), name);
  });
  const elements = make(".eqssl-switch", { role: "group", "aria-label": "Group elements" }, ...buttons);
  elements.set = (_, resting, { state }) => {
    if (!resting) return;
    for (const [i, { angle, mirror }] of facts.elements.entries()) {
      buttons[i].ariaPressed = Math.abs((state.angle % 360) - angle) < 1e-3 && state.mirror === mirror;
    }
  };
  const animate = makeButton("", () => ask({ animate: animate.ariaPressed !== "true" }));
  animate.set = (on, resting) => {
    if (resting) Object.assign(animate, { ariaPressed: on, textContent: on ? "❚❚ Pause" : "▶ Animate" });
  };
  const stabilised = makeCheck("Stabilise (turn the maps back)", (on) => ask({ stabilised: on }));
  const angle = makeAngle(facts, ask);
  // Many elements have a row of their own.
  return buttons.length > 4
    ? { angle, animate, stabilised, elements }
    : { angle, elements, animate, stabilised };
}

const roundTo = (step, angle) => (step * Math.round(angle / step)) % 360;

/** The angle, to slide and to type. */
function makeAngle({ angle_step: step }, ask) {
  let typing = false; // a number that is half typed stays
  const onMove = (angle) => {
    box.value = angle;
    ask({ angle });
  };
  const text = (angle) => `${angle} degrees`;
  const slider = makeSlider("Angle in degrees", { max: 360, step, onMove, text });
  const box = make("input", { type: "number", min: 0, max: 360, "aria-label": "Angle in degrees, typed" });
  const enter = () => {
    typing = false;
    if (box.value !== "") ask({ angle: Number(box.value) });
  };
  const type = (now) => () => {
    typing = now;
  };
  setAttributes(box, { oninput: type(true), onblur: type(false), onchange: enter });
  setAttributes(box, { onkeydown: (event) => event.key === "Enter" && enter() }); // no change event in JupyterLab
  const set = (angle, resting) => {
    slider.set(angle, resting);
    if (resting && !typing) box.value = angle;
  };
  const follow = (angle) => {
    slider.value = box.value = angle;
  };
  const title = make("span", { "aria-hidden": "true" }, "Angle");
  return Object.assign(make(".eqssl-range.eqssl-angle", title, slider, box, "°"), { set, follow });
}

/** The next angle of an animation, or null while it waits: in steps for those who asked for less motion. */
function makeAnimation({ elements, angle_step: least }, proceed, signal) {
  const reduced = matchMedia("(prefers-reduced-motion: reduce)");
  const angles = [...new Set(elements.map((element) => element.angle))];
  let since = null;
  let timer = 0;
  signal.addEventListener("abort", () => clearTimeout(timer));
  return ({ animate, angle }) => {
    if (!animate) {
      since = null;
      return null;
    }
    const now = performance.now();
    const seconds = since === null ? 0 : (now - since) / 1000;
    const wait = reduced.matches ? SECONDS_PER_STEP : least / DEGREES_PER_SECOND;
    if (since !== null && seconds >= wait) {
      since = now;
      if (reduced.matches) return { angle: angles.find((other) => other > angle) ?? 0 };
      // No jump after a pause.
      const step = Math.max(least, Math.min(10, Math.round(seconds * DEGREES_PER_SECOND)));
      return { angle: (Math.round(angle) + step) % 360 };
    }
    since ??= now;
    clearTimeout(timer);
    timer = setTimeout(proceed, (wait - seconds) * 1000 + 1);
    return null;
  };
}

function makeImage(facts, { place, at, turn, ask, complain }) {
  const canvas = make("canvas", { role: "img" });
  let settles = true;
  const onSettle = (on) => {
    settles = on;
  };
  const settle = makeCheck(
    "settle at group elements",
    onSettle,
    "Let go near a group element, the image settles there",
  );
  settle.set(true, true);
  const angles = [...new Set(facts.elements.map((element) => element.angle))];
  const within = Math.min(NEAR, 90 / angles.length);
  const stays = (event) => event.shiftKey || !settles;
  const stage = makeHandle(canvas, { angles, at, turn, within, stays });
  stage.classList.add("eqssl-disc");
  const note = make(".eqssl-note", "Grab the image and turn it. Errors: inside the circle.");
  const source = facts.sources.length && makePictureSource({ facts, canvas, stage, place, ask, complain });
  const paint = (values, bytes, resting) => {
    const { input, state, picture } = values;
    paintPicture(canvas, bytes, 0, input.side, "grey", input.channels);
    stage.set(state.angle, resting);
    const mirrored = state.mirror ? ", mirrored," : "";
    canvas.ariaLabel = `Image${mirrored} turned by ${state.angle} degrees${picture.text && `: ${picture.text}`}`;
    if (source) source.paint(values, resting);
    return input.channels * input.side ** 2;
  };
  return Object.assign(make("figure.eqssl-image", stage, note, settle, ...(source ? [source] : [])), {
    paint,
  });
}

/** All pages of the channels of a layer, and the present one if it is none of them, as choices of a menu. */
function pagesOf(channels, { page, first }) {
  const count = Math.ceil(channels / page);
  const starts = Array.from({ length: count }, (_, i) => Math.min(i * page, channels - page));
  if (!starts.includes(first)) starts.unshift(first);
  return starts.map((start) => [String(start), `channels ${start}–${start + page - 1} of ${channels}`]);
}

/** The feature maps of one network: a row for each channel, a column for each element of the group. */
function makePanel({ name, layers, note }, index, fixed, ask) {
  const [layerKey, channelKey] = ["layer", "channel"].map((key) => (index ? `compare_${key}` : key));
  const chooseLayer = () => ask({ [layerKey]: layer.value });
  const chooseChannel = () => ask({ [channelKey]: Number(channel.value) });
  const layer = make("select", { "aria-label": `Layer of ${name}`, onchange: chooseLayer });
  const channel = make("select", { "aria-label": `Channels of ${name}`, onchange: chooseChannel });
  const grid = make(".eqssl-maps", { role: "img" });
  const caption = make(".eqssl-note");
  const error = make("b.eqssl-digits");
  const remark = make("b.eqssl-note");
  const scale = makeScale("diverging", "activation, by row");
  scale.role = "img";
  let shape = "";
  let canvases = [];
  let heads = [];
  let limits = [];
  const build = ({ rows, columns, count, width }) => {
    canvases = Array.from({ length: count }, () => make("canvas", { "aria-hidden": "true" }));
    heads = columns.map((column) => make("span.eqssl-column", column));
    limits = rows.map(() => make("span.eqssl-limit"));
    const head = (row) => make("span.eqssl-row", row);
    const blank = Array.from({ length: rows.length * width - count }, () => make("span"));
    const cells = [...canvases, ...blank];
    const lines = rows.map((row, i) => [head(row), ...cells.slice(i * width, (i + 1) * width), limits[i]]);
    const top = heads.length ? heads : [make("span.eqssl-column.eqssl-none", "no group axis")];
    grid.style.setProperty("--columns", width);
    grid.replaceChildren(head("channel"), ...top, make("span.eqssl-limit", "max"), ...lines.flat());
    caption.textContent = heads.length
      ? "Columns: the group axis. Framed: where the first column went."
      : "Channels only, one after the other.";
  };
  const paintMaps = ({ side, low, width, element }, bytes, start) => {
    for (const [i, canvas] of canvases.entries()) {
      paintPicture(canvas, bytes, start + i * side ** 2, side, low < 0 ? "diverging" : "sequential");
      canvas.classList.toggle("eqssl-marked", heads.length > 0 && i % width === element);
    }
    for (const [i, head] of heads.entries()) head.classList.toggle("eqssl-marked", i === element);
  };
  const paintScale = (panel) => {
    if (panel.low < 0) scale.paint("diverging", "−max", "0", "max");
    else scale.paint("sequential", "0", "", "max");
    for (const [row, limit] of limits.entries()) limit.textContent = figures(panel.limits[row], 2);
    const ranges = panel.limits.map((limit) => `${figures(panel.low * limit, 2)} to ${figures(limit, 2)}`);
    scale.ariaLabel = `Colour scale of the activation; by row: ${ranges.join(", ")}`;
  };
  const paint = (panel, state, bytes, start) => {
    const key = JSON.stringify([panel.rows, panel.columns, panel.count, panel.width]);
    if (key !== shape) build(panel);
    shape = key;
    paintMaps(panel, bytes, start);
    paintScale(panel);
    remark.textContent = panel.remark;
    error.textContent = panel.text;
    error.dataset.error = panel.error;
    const choices = layers.map((each) => [each.name, each.label]);
    const { channels } = layers.find((each) => each.name === state[layerKey]);
    setChoices(layer, choices, state[layerKey]);
    setChoices(channel, pagesOf(channels, panel), String(panel.first));
    channel.disabled = fixed || channels <= panel.page;
    const columns = heads.length ? `${heads.length} elements of the group` : "channels one after the other";
    grid.ariaLabel = `Feature maps of ${name}: channels ${panel.rows.join(", ")}; ${columns}`;
    return start + panel.count * panel.side ** 2;
  };
  const title = make(".eqssl-title", makeKey(index), name, make("span.eqssl-note", "error"), error);
  const foot = make(
    ".eqssl-foot",
    caption,
    scale,
    remark,
    ...(note ? [make(".eqssl-note.eqssl-aside", { title: note }, note)] : []),
  );
  const parts = [make(".eqssl-choices", title, layer, channel), grid, foot];
  return Object.assign(make("section.eqssl-panel", { "aria-label": name }, ...parts), { paint });
}

/** The axes of a curve in a place of this size: steps that make at most four rows. */
function makeCurveAxes(width, height, errors) {
  const highest = Math.max(0.1, ...errors.flat());
  const step = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10].find((s) => highest / s <= 4) ?? highest / 4;
  const high = step * Math.ceil(highest / step);
  const angles = ticks(0, 360, width < 360 ? 90 : 45);
  const across = { low: 0, high: 360, ticks: angles, text: (angle) => `${angle}°`, name: "angle" };
  const text = (error) => figures(100 * error, 3);
  const up = { low: 0, high, ticks: ticks(0, high, step), text, name: "error in %" };
  return { high, ...makeAxes({ ...MARGINS, width, height }, across, up) };
}

function makeCurve(networks, signal) {
  const title = make("figcaption.eqssl-title");
  const svg = makeSvg("svg.eqssl-chart", { role: "img" });
  const line = makeSvg("line.eqssl-now");
  const marks = networks.map((_, index) => makeMark(index));
  let drawn = [];
  let place = null; // of an (angle, error) in the chart
  const draw = (width, height, { angles, errors }) => {
    place = makeCurveAxes(width, height, errors);
    const points = errors.map((list) =>
      list.map((error, i) => [angles[i], error]).filter(([, e]) => e !== null),
    );
    const lines = points.flatMap((list, i) => (list.length ? [makeLine(list, place, i)] : []));
    setAttributes(svg, { viewBox: `0 0 ${width} ${height}` });
    setAttributes(line, { y1: MARGINS.top, y2: height - MARGINS.bottom });
    svg.replaceChildren(...place.elements, ...lines, line, ...marks);
  };
  let last = null;
  let extent = [250, 150]; // until the page has been laid out
  const paint = (values, curve) => {
    last = [values, curve];
    const wanted = [...extent, curve];
    if (wanted.some((value, i) => value !== drawn[i])) draw(...wanted);
    drawn = wanted;
    const { angle, mirror } = values.state;
    const x = place.x(angle);
    title.textContent = mirror ? `Error at ${angle}°, mirrored` : `Equivariance error at ${angle}°`;
    svg.ariaLabel = `Curve of the equivariance error against the angle, marked at ${angle} degrees`;
    setAttributes(line, { x1: x, x2: x });
    for (const [i, { error }] of values.panels.entries()) {
      const y = place.y(Math.min(error, place.high));
      setAttributes(marks[i], {
        transform: `translate(${x} ${y})`,
        visibility: error === null ? "hidden" : "visible",
      });
    }
  };
  const size = new ResizeObserver(([entry]) => {
    const { width, height } = entry.contentRect;
    if (width > 0) extent = [Math.round(width), Math.round(height)];
    if (last) paint(...last);
  });
  size.observe(svg);
  signal.addEventListener("abort", () => size.disconnect());
  return Object.assign(make("figure.eqssl-curve", title, svg), { paint });
}

const render = (view) => explore(view, "Field explorer", "eqssl-field", buildField, ["curve"]);

export default { render };
