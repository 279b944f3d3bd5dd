// KernelExplorer: a filter whose weights one drags, its transformed copies, and the place of the image they read.

const PIXELS_PER_REACH = 120; // a drag over so many pixels changes a weight by the whole scale
const LETTERS = "ABCDEFGH"; // of the planes of a filter

function buildKernel({ facts, hand, ask }) {
  const chosen = { weight: 0 }; // the weight that the hand holds; it is marked in every copy
  const limit = { reach: 1 };
  const change = (index, value) => {
    if (!facts.editable || !hand.kernel) return; // the weights of another filter are on their way
    const bounded = Math.min(limit.reach, Math.max(-limit.reach, value));
    ask({ kernel: hand.kernel.map((old, i) => (i === index ? Number(bounded.toFixed(4)) : old)) });
  };
  const menus = ["out_channel", "in_channel"]
    .filter((key) => facts.editable && facts.channels[key] > 1)
    .map((key) => {
      const label = key === "in_channel" ? "Input channel" : "Output channel";
      const choices = Array.from({ length: facts.channels[key] }, (_, i) => [i, String(i + 1)]);
      // A new filter brings its own weights: the kernel of the old one must not be sent along.
      return [key, makeMenu(label, choices, (value) => ask({ [key]: Number(value), kernel: undefined }))];
    });
  const sliders = ["row", "column"].map((key) => [
    key,
    makeRange(`Window: ${key}`, {
      min: 0,
      max: facts.places - 1,
      onMove: (value) => ask({ [key]: value }),
      text: (value) => String(value + 1),
    }),
  ]);
  const reset = makeAction("Reset this filter", undefined, () => facts.editable && ask({ kernel: null }));
  const filter = makeFilter(facts, hand, chosen, change, () => copies.mark());
  const copies = makeCopies(facts, chosen);
  const place = makePlace(facts, (row, column) => ask({ row, column }));
  const answers = makeAnswers(facts);
  const body = make(
    "div",
    { class: "eqssl-kernel-body", "data-planes": facts.lifting ? 1 : facts.names.length },
    make("div", {}, filter.element, copies.element),
    make("div", {}, place.element, answers.element),
  );
  const controls = [...menus, ...sliders].map(([, control]) => control.element);
  if (facts.editable) controls.push(reset);
  const paint = (values, resting) => {
    limit.reach = values.reach;
    menus.forEach(([key, menu]) => menu.set(values.state[key], resting));
    sliders.forEach(([key, slider]) => slider.set(values.state[key], resting));
    filter.paint(values);
    copies.paint(values);
    place.paint(values);
    answers.paint(values);
  };
  return { controls, body, paint };
}

/** A colour of the diverging map, and whether dark ink is readable on it. */
function weightColour(value, reach) {
  const colour = colourTable.diverging[toBytes([value], -reach, reach)[0]];
  const [r, g, b] = [colour & 255, (colour >> 8) & 255, (colour >> 16) & 255];
  return { fill: `rgb(${r} ${g} ${b})`, ink: 0.3 * r + 0.59 * g + 0.11 * b > 130 ? "#111" : "#fff" };
}

/** The base filter: every weight is a spin button; the mouse drags it up and down. */
function makeFilter({ lifting, names, kernel_size: k, editable }, hand, chosen, change, onChoose) {
  const planes = lifting ? 1 : names.length;
  const size = k * k;
  const cell = (lifting ? { 1: 60, 2: 56, 3: 50, 4: 44, 5: 42 } : { 1: 60, 2: 56, 3: 44, 4: 34, 5: 30 })[k] ?? (lifting ? 36 : 22);
  const digits = cell >= 40 ? 2 : 1;
  let reach = 1;
  const weights = Array.from({ length: planes * size }, (_, index) => {
    const [row, column] = [Math.floor((index % size) / k) + 1, (index % k) + 1];
    const where = lifting ? "" : ` of plane ${LETTERS[Math.floor(index / size)]}`;
    const element = make("div", {
      class: "eqssl-kernel-weight",
      role: "spinbutton",
      tabindex: index ? -1 : 0,
      "aria-label": `Weight${where}, row ${row}, column ${column}`,
      "aria-readonly": !editable && "true",
      "data-lm-suppress-shortcuts": "true",
    });
    return element;
  });
  const choose = (index) => {
    chosen.weight = index;
    weights.forEach((weight, i) => {
      weight.tabIndex = i === index ? 0 : -1;
      weight.dataset.chosen = i === index;
    });
  };
  weights.forEach((weight, index) => {
    let start = null; // where a drag began, and the weight then
    weight.addEventListener("focus", () => {
      choose(index);
      onChoose();
    });
    weight.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      weight.focus();
      weight.setPointerCapture(event.pointerId);
      start = [event.clientY, hand.kernel?.[index] ?? 0];
      event.preventDefault();
    });
    weight.addEventListener("pointermove", (event) => {
      if (start) change(index, start[1] + ((start[0] - event.clientY) * reach) / PIXELS_PER_REACH);
    });
    const drop = () => (start = null);
    weight.addEventListener("pointerup", drop);
    weight.addEventListener("pointercancel", drop);
    weight.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const value = hand.kernel?.[index] ?? 0;
      const steps = { ArrowUp: 1, ArrowDown: -1, PageUp: 5, PageDown: -5 };
      const moves = { ArrowRight: 1, ArrowLeft: -1 };
      if (event.key in steps) change(index, value + (steps[event.key] * reach) / 20);
      else if (event.key in moves) weights[(index + moves[event.key] + weights.length) % weights.length].focus();
      else if (event.key === "0" || event.key === "Delete") change(index, 0);
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
  });
  const grids = Array.from({ length: planes }, (_, plane) => {
    const own = make("div", { class: "eqssl-kernel-weights" }, ...weights.slice(plane * size, (plane + 1) * size));
    own.style.gridTemplateColumns = `repeat(${k}, minmax(0, 1fr))`;
    const label = lifting ? [] : [make("span", { class: "eqssl-kernel-letter" }, LETTERS[plane]), make("span", {}, names[plane])];
    const element = make("div", { class: "eqssl-kernel-plane" }, make("div", { class: "eqssl-kernel-label" }, ...label), own);
    element.style.width = `${cell * k}px`;
    return element;
  });
  const scale = makeScale("diverging", "weight");
  const note = editable
    ? "Drag a weight up or down. Keys: ↑ ↓ change it, ← → go to the next, 0 clears it. The layer itself is changed."
    : "This page shows one filter as it was.";
  const element = make(
    "div",
    { role: "group", class: "eqssl-kernel-part", "aria-label": "The filter", "data-editable": String(editable) },
    make("div", { class: "eqssl-title" }, lifting ? "The filter ψ" : `The filter ψ: one plane for each of the ${names.length} elements`),
    make("div", { class: "eqssl-note" }, note),
    make("div", { class: "eqssl-kernel-filter" }, ...grids),
    scale.element,
  );
  const paint = (values) => {
    reach = values.reach;
    scale.set(-reach, reach);
    weights.forEach((weight, index) => {
      const value = values.state.kernel[index];
      const { fill, ink } = weightColour(value, reach);
      weight.style.background = fill;
      weight.style.color = ink;
      weight.textContent = cell < 30 ? "" : decimal(value, digits);
      weight.setAttribute("aria-valuenow", Number(value.toFixed(4)));
      weight.setAttribute("aria-valuetext", decimal(value, 3));
    });
  };
  choose(0);
  return { element, paint };
}

/** All copies: one row for each output element, one column for each plane of the input. */
function makeCopies({ group, lifting, names, sources, kernel_size: k, table }, chosen) {
  const planes = lifting ? 1 : names.length;
  const size = k * k;
  const makeTile = (g, h) => {
    const canvas = make("canvas", { role: "img" });
    const spot = make("div", { class: "eqssl-kernel-spot", hidden: true });
    spot.style.width = spot.style.height = `${100 / k}%`;
    const letter = lifting ? "" : make("b", { "aria-hidden": "true" }, LETTERS[sources[g][h]]);
    return { canvas, spot, element: make("div", { class: "eqssl-kernel-tile" }, canvas, spot, letter) };
  };
  const tiles = names.map((_, g) => Array.from({ length: planes }, (_, h) => makeTile(g, h)));
  const name = (text, across) => make("div", { class: "eqssl-kernel-name", "data-across": String(across) }, text);
  const cells = lifting
    ? [name("", false), ...names.map((text) => name(text, true)), name("copy", false), ...tiles.map(([tile]) => tile.element)]
    : [
        name("copy", false),
        ...names.map((text) => name(text, true)),
        ...names.flatMap((text, g) => [name(text, false), ...tiles[g].map((tile) => tile.element)]),
      ];
  const grid = make("div", { class: "eqssl-kernel-copies" }, ...cells);
  grid.style.setProperty("--columns", names.length);
  const note = lifting
    ? "Copy g is the filter, turned by g. The frame follows the weight that you hold."
    : "Row: the copy for output plane g. Column: the input plane h that it reads. A letter says which plane of the " +
      "filter stands there: it is turned by g, and it has moved along the group axis.";
  const element = make(
    "div",
    { role: "group", class: "eqssl-kernel-part", "aria-label": "The transformed copies" },
    make("div", { class: "eqssl-title" }, lifting ? `Its ${names.length} turned copies` : `Its ${names.length} copies: twist and shift`),
    make("div", { class: "eqssl-note" }, note),
    grid,
  );
  const mark = () =>
    tiles.forEach((row, g) => {
      const entry = table[g].indexOf(chosen.weight);
      row.forEach(({ spot }, h) => {
        spot.hidden = Math.floor(entry / size) !== h;
        spot.style.top = `${(100 * Math.floor((entry % size) / k)) / k}%`;
        spot.style.left = `${(100 * (entry % k)) / k}%`;
      });
    });
  const paint = (values) => {
    const numbers = asFloats(values.copies);
    const bytes = toBytes(numbers, -values.reach, values.reach);
    tiles.forEach((row, g) =>
      row.forEach(({ canvas }, h) => {
        const start = (g * planes + h) * size;
        paintPicture(canvas, bytes, start, k, "diverging");
        const list = [...numbers.slice(start, start + size)].map((value) => decimal(value, 3)).join(", ");
        canvas.setAttribute("aria-label", `Copy ${names[g]}${lifting ? "" : `, input plane ${names[h]}`}: ${list}`);
      }),
    );
    mark();
  };
  return { element, paint, mark };
}

/** The planes of the input with the window on them; a click or a drag moves it. */
function makePlace({ lifting, names, kernel_size: k, padding, stride, places }, move) {
  const planes = lifting ? 1 : names.length;
  let side = 1;
  const tiles = Array.from({ length: planes }, (_, h) => {
    const canvas = make("canvas", { role: "img", "aria-label": `Input${lifting ? "" : ` plane ${names[h]}`}` });
    const frame = make("div", { class: "eqssl-kernel-window" });
    const border = make("div", { class: "eqssl-kernel-border", hidden: !padding });
    const box = make("div", { class: "eqssl-kernel-picture" }, canvas, border, frame);
    followPointer(box, (x, y) => {
      const at = (share) => Math.max(0, Math.min(places - 1, Math.round((share * side - k / 2) / stride)));
      move(at(y), at(x));
    });
    const label = make("div", { class: "eqssl-kernel-label" }, lifting ? "the image" : names[h]);
    return { canvas, frame, border, element: make("div", {}, label, box) };
  });
  const grid = make("div", { class: "eqssl-kernel-planes", "data-planes": planes }, ...tiles.map((tile) => tile.element));
  grid.style.setProperty("--columns", Math.min(4, planes));
  const scale = makeScale("sequential", "input");
  const close = make("canvas", { role: "img", "aria-label": "The window, enlarged" });
  const enlarged = make(
    "div",
    {},
    make("div", { class: "eqssl-kernel-label" }, "the window"),
    make("div", { class: "eqssl-kernel-tile" }, close),
  );
  if (planes === 1) grid.append(enlarged);
  const note = `Click or drag to move the window.${padding ? " Outside the dashed line are the zeros of the padding." : ""}`;
  const element = make(
    "div",
    { role: "group", class: "eqssl-kernel-part", "aria-label": "The place that is read" },
    make("div", { class: "eqssl-title" }, "What the window reads"),
    make("div", { class: "eqssl-note" }, note),
    grid,
    scale.element,
  );
  const paint = (values) => {
    side = values.input_side;
    const bytes = asBytes(values.input);
    const [top, left] = values.window;
    tiles.forEach(({ canvas, frame, border }, h) => {
      paintPicture(canvas, bytes, h * side * side, side, "sequential");
      frame.style.top = `${(100 * top) / side}%`;
      frame.style.left = `${(100 * left) / side}%`;
      frame.style.width = frame.style.height = `${(100 * k) / side}%`;
      border.style.inset = `${(100 * padding) / side}%`;
    });
    if (planes === 1) paintPicture(close, toBytes(asFloats(values.patch), ...values.input_limits), 0, k, "sequential");
    scale.set(...values.input_limits);
  };
  return { element, paint };
}

function followPointer(box, onMove) {
  let held = false;
  const at = (event) => {
    const { left, top, width, height } = box.getBoundingClientRect();
    onMove((event.clientX - left) / width, (event.clientY - top) / height);
  };
  box.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    held = true;
    box.setPointerCapture(event.pointerId);
    at(event);
    event.preventDefault();
  });
  box.addEventListener("pointermove", (event) => held && at(event));
  const drop = () => (held = false);
  box.addEventListener("pointerup", drop);
  box.addEventListener("pointercancel", drop);
}

/** What each copy answers there, above its whole output map. */
function makeAnswers({ names, channels }) {
  const many = channels.in_channel > 1;
  const tiles = names.map((name) => {
    const canvas = make("canvas", { role: "img" });
    const frame = make("div", { class: "eqssl-kernel-window" });
    const bar = make("i");
    const number = make("b", {});
    const share = make("span", { class: "eqssl-note eqssl-digits" });
    const element = make(
      "div",
      { class: "eqssl-kernel-answer" },
      make("span", {}, `copy ${name}`),
      number,
      make("div", { class: "eqssl-kernel-bars" }, bar),
      many ? share : "",
      make("div", { class: "eqssl-kernel-picture" }, canvas, frame),
    );
    return { canvas, frame, bar, number, share, element };
  });
  const grid = make("div", { class: "eqssl-kernel-answers" }, ...tiles.map((tile) => tile.element));
  grid.style.setProperty("--columns", Math.min(4, names.length));
  const scale = makeScale("diverging", "output");
  const check = make("p", { class: "eqssl-note", "data-name": "check" });
  const part = many ? "; below the bar, the part of the chosen input channel" : "";
  const note = `Copy times window, summed up, plus the bias${part}.`;
  const element = make(
    "div",
    { role: "group", class: "eqssl-kernel-part", "aria-label": "The answers" },
    make("div", { class: "eqssl-title" }, "What each copy answers there"),
    make("div", { class: "eqssl-note" }, `${note} The picture is the whole output map.`),
    grid,
    scale.element,
    check,
  );
  const paint = (values) => {
    const { responses, best, shares, output, map_side: side, map_reach: reach, state, bias } = values;
    const bytes = asBytes(values.maps);
    tiles.forEach(({ canvas, frame, bar, number, share, element: tile }, g) => {
      number.textContent = decimal(responses[g], 3);
      number.dataset.value = responses[g];
      share.textContent = decimal(shares[g], 3);
      tile.dataset.best = best.includes(g);
      const length = Math.min(50, (50 * Math.abs(responses[g])) / reach);
      bar.dataset.negative = responses[g] < 0;
      bar.style.width = `${length}%`;
      bar.style.left = `${responses[g] < 0 ? 50 - length : 50}%`;
      paintPicture(canvas, bytes, g * side * side, side, "diverging");
      const where = `row ${state.row + 1}, column ${state.column + 1}`;
      canvas.setAttribute("aria-label", `Output map of copy ${names[g]}; ${decimal(responses[g], 3)} at ${where}`);
      frame.style.top = `${(100 * state.row) / side}%`;
      frame.style.left = `${(100 * state.column) / side}%`;
      frame.style.width = frame.style.height = `${100 / side}%`;
    });
    scale.set(-reach, reach);
    const gap = Math.max(...responses.map((value, g) => Math.abs(value - output[g])));
    check.dataset.gap = gap;
    const verdict = gap < 1e-6 * Math.max(1, reach) ? "is the same" : `differs by ${gap}`;
    check.textContent = `The bias is ${decimal(bias, 3)}. The layer's own output there ${verdict}.`;
  };
  return { element, paint };
}

const render = ({ model, el }) =>
  explore({ model, el, name: "Kernel explorer", className: "eqssl-kernel", build: buildKernel });

export default { render };
