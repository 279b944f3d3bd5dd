// KernelExplorer: a filter whose weights one drags, its transformed copies, and the place that they read.

const PIXELS_PER_REACH = 120; // a drag over so many pixels changes a weight by the whole scale
const LETTERS = "ABCDEFGH"; // of the planes of a filter
const STEPS = { ArrowUp: 1, ArrowDown: -1, PageUp: 5, PageDown: -5 }; // of a twentieth of the scale
const CHANNELS = { out_channel: "Output channel", in_channel: "Input channel" };
const MOVES = { ArrowRight: 1, ArrowLeft: -1 };

function buildKernel({ facts, hand, ask }) {
  const { editable, channels, places } = facts;
  const held = { weight: 0 }; // the weight that the hand holds; it is marked in every copy
  const change = (index, value, reach) => {
    if (!editable || !hand.kernel) return; // the weights of another filter are on their way
    const bounded = Math.min(reach, Math.max(-reach, value));
    ask({ kernel: hand.kernel.map((old, i) => (i === index ? Number(bounded.toFixed(4)) : old)) });
  };
  const controls = {};
  for (const [key, label] of Object.entries(CHANNELS)) {
    if (!editable || channels[key] === 1) continue;
    const choices = Array.from({ length: channels[key] }, (_, i) => [i, String(i + 1)]);
    // A new filter brings its own weights: the kernel of the old one must not be sent along.
    controls[key] = makeMenu(label, choices, (value) => ask({ [key]: Number(value), kernel: undefined }));
  }
  for (const key of ["row", "column"]) {
    const onMove = (value) => ask({ [key]: value });
    controls[key] = makeRange(`Window: ${key}`, { max: places - 1, onMove, text: counted });
  }
  if (editable) controls.reset = makeButton("Reset this filter", () => ask({ kernel: null }));
  const copies = makeCopies(facts, held);
  const filter = makeFilter(facts, hand, held, change, copies.mark);
  const place = makePlace(facts, (row, column) => ask({ row, column }));
  const answers = makeAnswers(facts);
  const halves = [make(".eqssl-kernel-half", filter, copies), make("div", place, answers)];
  const body = make(".eqssl-body.eqssl-kernel-body", ...halves);
  const paint = (values) => {
    for (const part of [filter, copies, place, answers]) part.paint(values);
  };
  return { controls, body, paint };
}

/** A colour of the diverging map, and the ink that is read best on it, by its relative luminance. */
function weightColour(value, reach) {
  const colour = colourTable.diverging[toBytes([value], -reach, reach)[0]];
  const rgb = [0, 8, 16].map((shift) => (colour >> shift) & 255);
  const light = [0.2126, 0.7152, 0.0722].reduce((sum, part, i) => sum + part * (rgb[i] / 255) ** 2.2, 0);
  return { background: `rgb(${rgb.join(" ")})`, color: light > 0.18 ? "#000" : "#fff" };
}

/** Lay a square frame over a picture of this side; all in its pixels. */
function layOver(frame, row, column, size, side) {
  const percent = (pixels) => `${(100 * pixels) / side}%`;
  Object.assign(frame.style, { top: percent(row), left: percent(column) });
  frame.style.width = frame.style.height = percent(size);
}

/** The base filter: every weight is a spin button; the mouse drags it up and down. */
function makeFilter({ lifting, names, kernel_size: k, editable }, hand, held, change, onHold) {
  const size = k * k;
  const cell = lifting ? Math.max(36, 65 - 5 * k) : Math.max(22, 68 - 8 * k); // side of a weight in pixels
  let reach = 1;
  const makeWeight = (index) => {
    const where = lifting ? "" : ` of plane ${LETTERS[Math.floor(index / size)]}`;
    const [row, column] = [Math.floor((index % size) / k) + 1, (index % k) + 1];
    const weight = make(".eqssl-kernel-weight", { role: "spinbutton", onfocus: () => hold(index) });
    setAttributes(weight, { "aria-readonly": !editable && "true" });
    weight.ariaLabel = `Weight${where}, row ${row}, column ${column}`;
    const value = () => hand.kernel?.[index] ?? 0;
    let from = null; // where a drag began, and the weight then
    const start = (event) => {
      weight.focus();
      from = { height: event.clientY, value: value() };
    };
    const drag = ({ clientY }) => {
      change(index, from.value + ((from.height - clientY) * reach) / PIXELS_PER_REACH, reach);
    };
    onDrag(weight, start, drag);
    onKeys(weight, (key) => {
      if (key in STEPS) change(index, value() + (STEPS[key] * reach) / 20, reach);
      else if (key in MOVES) weights[(index + MOVES[key] + weights.length) % weights.length].focus();
      else if (key === "0" || key === "Delete") change(index, 0, reach);
      else return false;
    });
    return weight;
  };
  const planes = Array.from({ length: lifting ? 1 : names.length }, (_, plane) => {
    const own = Array.from({ length: size }, (_, i) => makeWeight(plane * size + i));
    const label = lifting ? [] : [make("b", LETTERS[plane]), make("span", names[plane])];
    const columns = `grid-template-columns: repeat(${k}, minmax(0, 1fr))`;
    const board = make(".eqssl-kernel-weights", { style: columns }, ...own);
    const parts = [make(".eqssl-kernel-label", ...label), board];
    return Object.assign(make("div", { style: `max-width: ${cell * k}px` }, ...parts), { own });
  });
  const weights = planes.flatMap((plane) => plane.own);
  const hold = (index) => {
    held.weight = index;
    for (const [i, weight] of weights.entries()) {
      weight.tabIndex = i === index ? 0 : -1;
      weight.dataset.chosen = i === index;
    }
    onHold();
  };
  const scale = makeScale("diverging", "weight");
  const paint = (values) => {
    reach = values.reach;
    scale.set(-reach, reach);
    for (const [index, weight] of weights.entries()) {
      const value = values.state.kernel[index];
      Object.assign(weight.style, weightColour(value, reach));
      weight.textContent = cell < 28 ? "" : decimal(value, cell < 40 ? 1 : 2);
      Object.assign(weight, { ariaValueNow: Number(value.toFixed(4)), ariaValueText: decimal(value, 3) });
    }
  };
  const title = lifting ? "The filter ψ" : `The filter ψ: ${names.length} planes`;
  const note = editable
    ? "Drag a weight up or down (keys: ↑ ↓; ← → go on; 0 clears). The layer itself is changed."
    : "This page shows one filter as it was.";
  const part = makePart("The filter", title, note, make(".eqssl-kernel-filter", ...planes), scale);
  hold(0);
  return Object.assign(part, { paint });
}

/** All copies: a row for each output element, a column for each plane of the input; of a lifting one row. */
function makeCopies({ lifting, names, sources, kernel_size: k, table }, held) {
  const planes = lifting ? 1 : names.length;
  const size = k * k;
  const makeTile = (g, h) => {
    const canvas = make("canvas", { role: "img" });
    const spot = make(".eqssl-kernel-spot", { hidden: true });
    const letter = lifting ? "" : make("b.eqssl-badge", { "aria-hidden": "true" }, LETTERS[sources[g][h]]);
    return Object.assign(make(".eqssl-kernel-tile", canvas, spot, letter), { canvas, spot });
  };
  const tiles = names.map((_, g) => Array.from({ length: planes }, (_, h) => makeTile(g, h)));
  const above = names.map((name) => make(".eqssl-kernel-name.eqssl-kernel-above", name));
  const beside = (name) => make(".eqssl-kernel-name", name);
  const cells = lifting
    ? [beside(""), ...above, beside("copy"), ...tiles.flat()]
    : [beside("copy"), ...above, ...names.flatMap((name, g) => [beside(name), ...tiles[g]])];
  const columns = { "data-planes": planes, style: `--columns: ${names.length}` };
  const grid = make(".eqssl-kernel-copies", columns, ...cells);
  const mark = () => {
    for (const [g, row] of tiles.entries()) {
      const entry = table[g].indexOf(held.weight);
      for (const [h, { spot }] of row.entries()) {
        spot.hidden = Math.floor(entry / size) !== h;
        layOver(spot, Math.floor((entry % size) / k), entry % k, 1, k);
      }
    }
  };
  const paint = (values) => {
    const numbers = asFloats(values.copies);
    const bytes = toBytes(numbers, -values.reach, values.reach);
    for (const [i, { canvas }] of tiles.flat().entries()) {
      paintPicture(canvas, bytes, i * size, k, "diverging");
      const own = Array.from(numbers.slice(i * size, (i + 1) * size), (value) => decimal(value, 3));
      const plane = lifting ? "" : `, input plane ${names[i % planes]}`;
      canvas.ariaLabel = `Copy ${names[Math.floor(i / planes)]}${plane}: ${own.join(", ")}`;
    }
    mark();
  };
  const title = lifting ? `Its ${names.length} turned copies` : `Its ${names.length} copies: twist and shift`;
  const note = lifting
    ? "Copy g is the filter, turned by g. The frame follows the weight that you hold."
    : "Row: output plane g. Column: input plane h. A letter names the plane of the filter that stands there: turned by " +
      "g, moved along the group axis.";
  return Object.assign(makePart("The transformed copies", title, note, grid), { paint, mark });
}

/** The planes of the input with the window on them; a click or a drag moves it. */
function makePlace({ lifting, names, kernel_size: k, padding, stride, places }, move) {
  const planes = lifting ? 1 : names.length;
  let side = 1;
  const first = (share) => Math.max(0, Math.min(places - 1, Math.round((share * side - k / 2) / stride)));
  const tiles = Array.from({ length: planes }, (_, h) => {
    const canvas = make("canvas", { role: "img" });
    canvas.ariaLabel = lifting ? "Input" : `Input plane ${names[h]}`;
    const frame = make(".eqssl-kernel-window");
    const border = make(".eqssl-kernel-border", { hidden: !padding });
    const box = make(".eqssl-kernel-picture", canvas, border, frame);
    const to = (event) => {
      const [x, y] = placeIn(box, event);
      move(first(y), first(x));
    };
    onDrag(box, to, to);
    const label = make(".eqssl-kernel-label", lifting ? "the image" : names[h]);
    return Object.assign(make("div", label, box), { canvas, frame, border });
  });
  const columns = { "data-planes": planes, style: `--columns: ${Math.min(4, planes)}` };
  const grid = make(".eqssl-kernel-planes", columns, ...tiles);
  const close = make("canvas", { role: "img", "aria-label": "The window, enlarged" });
  const label = make(".eqssl-kernel-label", "the window");
  if (planes === 1) grid.append(make("div", label, make(".eqssl-kernel-tile", close)));
  const scale = makeScale("sequential", "input");
  const paint = (values) => {
    side = values.input_side;
    const bytes = asBytes(values.input);
    for (const [h, { canvas, frame, border }] of tiles.entries()) {
      paintPicture(canvas, bytes, h * side * side, side, "sequential");
      layOver(frame, ...values.window, k, side);
      border.style.inset = `${(100 * padding) / side}%`;
    }
    const limits = values.input_limits;
    if (planes === 1) paintPicture(close, toBytes(asFloats(values.patch), ...limits), 0, k, "sequential");
    scale.set(...limits);
  };
  const zeros = padding ? " Outside the dashed line: zeros." : "";
  const note = `Click or drag to move the window.${zeros}`;
  const part = makePart("The place that is read", "What the window reads", note, grid, scale);
  return Object.assign(part, { paint });
}

/** What each copy answers there, above its whole output map. */
function makeAnswers({ names, channels }) {
  const many = channels.in_channel > 1;
  const tiles = names.map((name) => {
    const canvas = make("canvas", { role: "img" });
    const frame = make(".eqssl-kernel-window");
    const [bar, number] = [make("i"), make("b")];
    const share = make("span.eqssl-note.eqssl-digits", { hidden: !many });
    const words = [make("span", `copy ${name}`), number, make(".eqssl-kernel-bars", bar), share];
    const tile = make(".eqssl-kernel-answer", ...words, make(".eqssl-kernel-picture", canvas, frame));
    return Object.assign(tile, { canvas, frame, bar, number, share });
  });
  const grid = make(".eqssl-kernel-planes", { style: `--columns: ${Math.min(4, names.length)}` }, ...tiles);
  const scale = makeScale("diverging", "output");
  const check = make("p.eqssl-note");
  const paint = (values) => {
    const { responses, best, shares, output, map_side: side, map_reach: reach, state, bias } = values;
    const bytes = asBytes(values.maps);
    const where = `row ${state.row + 1}, column ${state.column + 1}`;
    for (const [g, tile] of tiles.entries()) {
      const answer = responses[g];
      tile.number.textContent = decimal(answer, 3);
      tile.number.dataset.value = answer;
      tile.share.textContent = decimal(shares[g], 3);
      tile.dataset.best = best.includes(g);
      const length = Math.min(50, (50 * Math.abs(answer)) / reach);
      tile.bar.dataset.negative = answer < 0;
      Object.assign(tile.bar.style, { width: `${length}%`, left: `${answer < 0 ? 50 - length : 50}%` });
      paintPicture(tile.canvas, bytes, g * side * side, side, "diverging");
      tile.canvas.ariaLabel = `Output map of copy ${names[g]}; ${decimal(answer, 3)} at ${where}`;
      layOver(tile.frame, state.row, state.column, 1, side);
    }
    scale.set(-reach, reach);
    const gap = Math.max(...responses.map((value, g) => Math.abs(value - output[g])));
    check.dataset.gap = gap;
    const verdict = gap < 1e-6 * Math.max(1, reach) ? "is the same" : `differs by ${gap}`;
    check.textContent = `The bias is ${decimal(bias, 3)}. The layer's own output there ${verdict}.`;
  };
  const share = many ? "; below the bar, the part of the chosen input channel" : "";
  const note = `Copy times window, summed up, plus the bias${share}. The picture is the whole output map.`;
  const part = makePart("The answers", "What each copy answers there", note, grid, scale, check);
  return Object.assign(part, { paint });
}

const render = (view) => explore(view, "Kernel explorer", "eqssl-kernel", buildKernel);

export default { render };
