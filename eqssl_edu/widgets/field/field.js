// FieldExplorer: the turned image, the feature maps of one or two networks, and the error against the angle.

const DEGREES_PER_SECOND = 45;
const SECONDS_PER_STEP = 1.5; // of an animation with reduced motion: one group element after the other
const ROW_KEYS = [
  { layer: "layer", channel: "channel" },
  { layer: "compare_layer", channel: "compare_channel" },
];

function render({ model, el }) {
  const closing = new AbortController();
  const facts = model.get("facts");
  const root = make("div", {
    class: "eqssl eqssl-field",
    role: "group",
    "aria-label": "Field explorer",
    "data-wide": String(facts.elements.length > 4), // a long group axis: one network below the other
    "data-networks": facts.networks.length,
  });
  const controls = makeControls(facts, (changes) => talk.ask(changes));
  const image = makeImage(
    facts,
    () => model.get("values").state,
    (...message) => talk.ask(...message),
    (text) => talk.complain(text),
  );
  const curve = makeCurve(facts.networks);
  const panels = facts.networks.map((network, index) =>
    makePanel(network, index, facts.fixed_channels, (changes) => talk.ask(changes)),
  );
  root.append(
    controls.element,
    make(
      "div",
      { class: "eqssl-pictures" },
      make("div", { class: "eqssl-top" }, image.element, curve.element),
      make("div", { class: "eqssl-panels" }, ...panels.map((panel) => panel.element)),
    ),
  );
  const paint = (resting) => {
    const values = model.get("values");
    const bytes = asBytes(values.pixels);
    let offset = image.paint(values, bytes, resting);
    values.panels.forEach((panel, index) => {
      offset = panels[index].paint(panel, values.state, bytes, offset);
    });
    curve.paint(values, model.get("curve"));
    if (resting) controls.follow(values.state);
  };
  let seen = true; // an animation rests while nobody can see it
  const animation = makeAnimation(facts);
  const moving = () => (seen ? animation.next(model.get("values").state) : null);
  el.append(root);
  const talk = converse({ model, root, paint, moving, traits: ["curve"], signal: closing.signal });
  const sight = new IntersectionObserver((entries) => {
    seen = entries.at(-1).isIntersecting;
    talk.proceed();
  });
  sight.observe(root);
  animation.onPause = talk.proceed;
  return () => {
    closing.abort();
    sight.disconnect();
    curve.close();
    animation.close();
  };
}

// -- controls -----------------------------------------------------------------------------------------------

function makeControls(facts, ask) {
  let typing = false; // a number that is half typed stays
  const slider = make("input", {
    type: "range",
    min: 0,
    max: 360,
    step: facts.angle_step,
    class: "eqssl-slider",
    "aria-label": "Angle in degrees",
    oninput: () => {
      box.value = slider.value;
      ask({ angle: Number(slider.value) });
    },
  });
  const box = make("input", {
    type: "number",
    min: 0,
    max: 360,
    step: 1,
    class: "eqssl-number",
    "aria-label": "Angle in degrees, typed",
    oninput: () => (typing = true),
    onblur: () => (typing = false),
    onchange: () => enter(),
    onkeydown: (event) => event.key === "Enter" && enter(), // JupyterLab keeps the browser's own event
  });
  const enter = () => {
    typing = false;
    if (box.value !== "") ask({ angle: Number(box.value) });
  };
  const title = make("span", { "aria-hidden": "true" }, "Angle");
  const buttons = facts.elements.map(({ label, angle, mirror }) =>
    make(
      "button",
      {
        type: "button",
        "aria-label": mirror ? `mirror, then turn by ${angle} degrees` : `turn by ${angle} degrees`,
        onclick: () => ask({ angle, mirror }),
      },
      label,
    ),
  );
  const animate = make("button", {
    type: "button",
    class: "eqssl-animate",
    onclick: () => ask({ animate: animate.getAttribute("aria-pressed") !== "true" }),
  });
  const stabilised = make("input", {
    type: "checkbox",
    onchange: () => ask({ stabilised: stabilised.checked }),
  });
  const element = make(
    "div",
    { class: "eqssl-controls" },
    make("div", { class: "eqssl-angle" }, title, slider, box, "°"),
    make("div", { class: "eqssl-buttons", role: "group", "aria-label": "Group elements" }, ...buttons),
    make(
      "div",
      { class: "eqssl-toggles" },
      animate,
      make("label", {}, stabilised, "Stabilise (turn the maps back)"),
    ),
  );
  const follow = (state) => {
    slider.value = state.angle;
    slider.setAttribute("aria-valuetext", `${state.angle} degrees`);
    if (!typing) box.value = state.angle;
    buttons.forEach((button, i) => {
      const { angle, mirror } = facts.elements[i];
      button.setAttribute(
        "aria-pressed",
        Math.abs((state.angle % 360) - angle) < 1e-3 && state.mirror === mirror,
      );
    });
    animate.setAttribute("aria-pressed", state.animate);
    animate.textContent = state.animate ? "❚❚ Pause" : "▶ Animate";
    stabilised.checked = state.stabilised;
  };
  return { element, follow };
}

/** The next angle of an animation: smooth, or in steps for those who asked for less motion. */
function makeAnimation({ elements, angle_step: least }) {
  const reduced = matchMedia("(prefers-reduced-motion: reduce)");
  const angles = [...new Set(elements.map((element) => element.angle))];
  let since = null;
  let timer = 0;
  const animation = {
    onPause: () => {},
    close: () => clearTimeout(timer),
    next: (state) => {
      if (!state.animate) {
        since = null;
        return null;
      }
      const now = performance.now();
      const seconds = since === null ? 0 : (now - since) / 1000;
      const wait = reduced.matches ? SECONDS_PER_STEP : least / DEGREES_PER_SECOND;
      if (since !== null && seconds >= wait) {
        since = now;
        if (reduced.matches) return { angle: angles.find((angle) => angle > state.angle) ?? 0 };
        // No jump after a pause.
        const step = Math.max(least, Math.min(10, Math.round(seconds * DEGREES_PER_SECOND)));
        return { angle: (Math.round(state.angle) + step) % 360 };
      }
      since ??= now;
      clearTimeout(timer);
      timer = setTimeout(() => animation.onPause(), (wait - seconds) * 1000 + 1);
      return null;
    },
  };
  return animation;
}

// -- pictures -----------------------------------------------------------------------------------------------

function makeImage(facts, place, ask, complain) {
  const canvas = make("canvas", { role: "img" });
  const stage = make("div", { class: "eqssl-disc" }, canvas);
  const source = facts.sources.length
    ? makePictureSource({ facts, canvas, stage, place, ask, complain })
    : { element: "", paint: () => {} };
  const element = make(
    "figure",
    { class: "eqssl-image" },
    make("figcaption", { class: "eqssl-title" }, "Image"),
    stage,
    make("div", { class: "eqssl-note" }, "Errors are measured inside the circle."),
    source.element,
  );
  const paint = (values, bytes, resting) => {
    const { input, state, picture } = values;
    paintPicture(canvas, bytes, 0, input.side, "grey", input.channels);
    canvas.setAttribute(
      "aria-label",
      `Image${state.mirror ? ", mirrored," : ""} turned by ${state.angle} degrees${picture.text && `: ${picture.text}`}`,
    );
    source.paint(values, resting);
    return input.channels * input.side ** 2;
  };
  return { element, paint };
}

/** Two figures that count, with a real minus sign. */
const number = (value) => String(Number(value.toPrecision(2))).replace("-", "−");

function makePanel(network, index, fixed, ask) {
  const keys = ROW_KEYS[index];
  const layer = make("select", {
    "aria-label": `Layer of ${network.name}`,
    onchange: () => ask({ [keys.layer]: layer.value }),
  });
  const channel = make("select", {
    "aria-label": `Channels of ${network.name}`,
    onchange: () => ask({ [keys.channel]: Number(channel.value) }),
  });
  const grid = make("div", { class: "eqssl-maps", role: "img" });
  const caption = make("div", { class: "eqssl-note" });
  const bar = make("div", { class: "eqssl-bar" });
  const [low, zero, high] = [make("span"), make("span"), make("span", {}, "max")];
  const scale = make(
    "div",
    { class: "eqssl-scale", role: "img" },
    make("span", { class: "eqssl-scale-name" }, "activation, by row"),
    make("div", { class: "eqssl-scale-body" }, bar, make("div", { class: "eqssl-ticks" }, low, zero, high)),
  );
  const element = make(
    "section",
    { class: "eqssl-panel", "aria-label": network.name },
    make(
      "div",
      { class: "eqssl-title" },
      make("span", { class: `eqssl-swatch eqssl-line-${index}` }),
      network.name,
    ),
    make("div", { class: "eqssl-choices" }, layer, channel),
    grid,
    make("div", { class: "eqssl-foot" }, caption, scale),
  );
  let shape = "";
  let canvases = [];
  let heads = [];
  let limits = [];
  const build = (panel) => {
    canvases = Array.from({ length: panel.count }, () => make("canvas", { "aria-hidden": "true" }));
    heads = panel.columns.map((name) => make("span", { class: "eqssl-column" }, name));
    limits = panel.rows.map(() => make("span", { class: "eqssl-limit" }));
    const rows = panel.rows.map((name, row) => [
      make("span", { class: "eqssl-row" }, name),
      ...canvases.slice(row * panel.width, (row + 1) * panel.width),
      ...Array.from({ length: Math.max(0, (row + 1) * panel.width - panel.count) }, () => make("span")),
      limits[row],
    ]);
    const corner = make("span", { class: "eqssl-row" }, "channel");
    grid.style.setProperty("--columns", panel.width);
    const top = heads.length ? heads : [make("span", { class: "eqssl-column eqssl-none" }, "no group axis")];
    grid.replaceChildren(corner, ...top, make("span", { class: "eqssl-limit" }, "max"), ...rows.flat());
    caption.textContent = heads.length
      ? "Columns: the group axis. The frame marks where the maps of the first column went."
      : "Channels only, one after the other.";
  };
  const paint = (panel, state, bytes, start) => {
    const key = JSON.stringify([panel.rows, panel.columns, panel.count, panel.width]);
    if (key !== shape) build(panel);
    shape = key;
    const colours = panel.low < 0 ? "diverging" : "sequential";
    canvases.forEach((canvas, i) => {
      paintPicture(canvas, bytes, start + i * panel.side ** 2, panel.side, colours);
      canvas.classList.toggle("eqssl-marked", heads.length > 0 && i % panel.width === panel.element);
    });
    heads.forEach((head, i) => head.classList.toggle("eqssl-marked", i === panel.element));
    setChoices(
      layer,
      network.layers.map(({ name, label }) => [name, label]),
      state[keys.layer],
    );
    const { channels } = network.layers.find(({ name }) => name === state[keys.layer]);
    const pageLabel = (first) => `channels ${first}–${first + panel.page - 1} of ${channels}`;
    const pages = Array.from({ length: Math.ceil(channels / panel.page) }, (_, page) => {
      const first = Math.min(page * panel.page, channels - panel.page);
      return [String(first), pageLabel(first)];
    });
    const known = pages.some(([first]) => first === String(panel.first));
    const own = [String(panel.first), pageLabel(panel.first)];
    setChoices(channel, known ? pages : [own, ...pages], String(panel.first));
    channel.disabled = fixed || channels <= panel.page;
    limits.forEach((limit, row) => (limit.textContent = number(panel.limits[row])));
    bar.style.background = gradient(colours);
    low.textContent = panel.low < 0 ? "−max" : "0";
    zero.textContent = panel.low < 0 ? "0" : "";
    const range = panel.limits.map((limit) => `${number(panel.low * limit)} to ${number(limit)}`);
    scale.setAttribute("aria-label", `Colour scale of the activation; by row: ${range.join(", ")}`);
    const columns = heads.length ? `${heads.length} elements of the group` : "channels one after the other";
    grid.setAttribute(
      "aria-label",
      `Feature maps of ${network.name}: channels ${panel.rows.join(", ")}; ${columns}`,
    );
    return start + panel.count * panel.side ** 2;
  };
  return { element, paint };
}

// -- the error against the angle ----------------------------------------------------------------------------

const CURVE = { left: 46, right: 18, top: 8, bottom: 38 };

function makeCurve(networks) {
  const entries = networks.map(({ name }, index) => {
    const percent = make("b", { class: "eqssl-percent" });
    const decibels = make("span", { class: "eqssl-decibels" });
    const swatch = make("span", { class: `eqssl-swatch eqssl-line-${index}` });
    return {
      percent,
      decibels,
      element: make("div", { class: "eqssl-entry" }, swatch, make("span", {}, name), percent, decibels),
    };
  });
  const title = make("figcaption", { class: "eqssl-title" });
  const svg = makeSvg("svg", { role: "img", class: "eqssl-plot" });
  const element = make(
    "figure",
    { class: "eqssl-curve" },
    title,
    make("div", { class: "eqssl-readout" }, ...entries.map((entry) => entry.element)),
    svg,
  );
  let drawn = [];
  let place = null; // of an (angle, error) in the plot
  let markers = null;
  const axes = (width, height, curve) => {
    const highest = Math.max(0.1, ...curve.errors.flat());
    const step = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10].find((s) => highest / s <= 4) ?? highest / 4;
    const top = step * Math.ceil(highest / step);
    const right = width - CURVE.right;
    const base = height - CURVE.bottom;
    const x = (angle) => CURVE.left + (angle / 360) * (right - CURVE.left);
    const y = (error) => base - (Math.min(error, top) / top) * (base - CURVE.top);
    const ticks = Array.from({ length: Math.round(top / step) + 1 }, (_, i) => i * step);
    const stride = width < 360 ? 90 : 45;
    const angles = Array.from({ length: 360 / stride + 1 }, (_, i) => i * stride);
    const percent = (value) => String(Number((100 * value).toPrecision(3)));
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.replaceChildren(
      ...ticks.map((error) =>
        makeSvg("line", { class: "eqssl-rule", x1: CURVE.left, x2: right, y1: y(error), y2: y(error) }),
      ),
      ...ticks.map((error) =>
        makeSvg("text", { x: CURVE.left - 6, y: y(error) + 4, "text-anchor": "end" }, percent(error)),
      ),
      ...angles.map((angle) =>
        makeSvg("text", { x: x(angle), y: base + 16, "text-anchor": "middle" }, `${angle}°`),
      ),
      makeSvg("text", { x: (CURVE.left + right) / 2, y: height - 5, "text-anchor": "middle" }, "angle"),
      makeSvg(
        "text",
        {
          x: 11,
          y: (CURVE.top + base) / 2,
          "text-anchor": "middle",
          transform: `rotate(-90 11 ${(CURVE.top + base) / 2})`,
        },
        "error in %",
      ),
      ...curve.errors.map((errors, index) =>
        makeSvg("polyline", {
          class: `eqssl-line-${index}`,
          points: errors
            .map((error, i) => `${x(curve.angles[i]).toFixed(1)},${y(error).toFixed(1)}`)
            .join(" "),
        }),
      ),
    );
    markers = {
      line: makeSvg("line", { class: "eqssl-now", y1: CURVE.top, y2: base }),
      dots: networks.map((_, index) => makeSvg("circle", { class: `eqssl-dot eqssl-line-${index}`, r: 5 })),
    };
    svg.append(markers.line, ...markers.dots);
    place = { x, y };
  };
  let last = null;
  let extent = [400, 190]; // until the page has been laid out
  const paint = (values, curve) => {
    last = [values, curve];
    const wanted = [...extent, curve];
    if (wanted.some((value, i) => value !== drawn[i])) axes(...wanted);
    drawn = wanted;
    const { angle } = values.state;
    const mirrored = values.state.mirror ? ", mirrored" : "";
    title.textContent = `Equivariance error at ${angle}°${mirrored}`;
    markers.line.setAttribute("x1", place.x(angle));
    markers.line.setAttribute("x2", place.x(angle));
    values.panels.forEach(({ error, text }, index) => {
      entries[index].percent.textContent = text[0];
      entries[index].decibels.textContent = text[1];
      entries[index].element.dataset.error = error;
      markers.dots[index].setAttribute("cx", place.x(angle));
      markers.dots[index].setAttribute("cy", place.y(error));
    });
    svg.setAttribute(
      "aria-label",
      `Curve of the equivariance error against the angle, marked at ${angle} degrees`,
    );
  };
  const size = new ResizeObserver(([entry]) => {
    const { width, height } = entry.contentRect;
    if (width > 0) extent = [Math.round(width), Math.round(height)];
    if (last) paint(...last);
  });
  size.observe(svg);
  return { element, paint, close: () => size.disconnect() };
}

export default { render };
