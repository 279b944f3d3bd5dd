// The frame of every explorer, and what explorers share. Stands between base.js and the explorer's own module.

/**
 * The frame of an explorer. build(parts) returns { controls, body, paint(values, resting), moving }; what can move
 * by itself has the last (see converse). The controls are elements by name; one that shows an entry of the state has
 * its name and can set(value, resting, values). The parts: model and facts; hand, the state that the hand wants,
 * ahead of the picture while a move is under way; ask(changes, buffers), complain(text) and proceed() of converse;
 * the signal that the view is closed. traits are those that paint needs besides the common ones.
 */
function explore({ model, el }, name, className, build, traits) {
  const closing = new AbortController();
  const root = make(`.eqssl.${className}`, { role: "group", "aria-label": name });
  const hand = { ...model.get("values").state };
  const ask = (changes, buffers) => {
    Object.assign(hand, changes);
    talk.ask(changes, buffers);
  };
  const complain = (text) => talk.complain(text);
  const proceed = () => talk.proceed();
  const parts = { model, facts: model.get("facts"), hand, ask, complain, proceed, signal: closing.signal };
  const { controls, body, paint, moving } = build(parts);
  root.append(make(".eqssl-tools", ...Object.values(controls)), body);
  el.append(root);
  present(root, model);
  const draw = (resting) => {
    const values = model.get("values");
    const { state } = values;
    if (resting) Object.assign(hand, state);
    for (const [key, control] of Object.entries(controls)) control.set?.(state[key], resting, values);
    paint(values, resting);
  };
  const talk = converse({ model, root, paint: draw, moving, traits, signal: closing.signal });
  return () => closing.abort();
}

/** A bare slider; text(value) is what a screen reader says. */
function makeSlider(label, { min = 0, max, step = 1, onMove, text = String }) {
  const slider = make("input", { type: "range", min, max, step, "aria-label": label });
  slider.addEventListener("input", () => onMove(Number(slider.value)));
  slider.set = (value, resting) => {
    if (resting) Object.assign(slider, { value, ariaValueText: text(value) });
  };
  return slider;
}

/** A slider with its name before it and its value after it. */
function makeRange(label, { text = String, ...range }) {
  const output = make("output.eqssl-range-value");
  const slider = makeSlider(label, { text, ...range });
  const set = (value, resting) => {
    output.textContent = text(value);
    slider.set(value, resting);
  };
  return Object.assign(make(".eqssl-range", make("span", label), slider, output), { slider, set });
}

/** A drop-down list with its name before it; choices are [value, text] pairs. */
function makeMenu(label, choices, onChoose) {
  const select = make("select", { "aria-label": label, onchange: () => onChoose(select.value) });
  setChoices(select, choices, choices[0][0]);
  const set = (value, resting) => {
    if (resting) select.value = value;
  };
  return Object.assign(make(".eqssl-range", make("span", label), select), { set });
}

/** Buttons of which one is pressed; choices are [value, text, name] triples, the name for makeButton. */
function makeSwitch(label, choices, onChoose) {
  const buttons = choices.map(([value, text, name]) => makeButton(text, () => onChoose(value), name));
  const row = make(".eqssl-switch", { role: "group", "aria-label": label }, ...buttons);
  const set = (chosen) => {
    for (const [i, [value]] of choices.entries()) buttons[i].ariaPressed = value === chosen;
  };
  return Object.assign(make(".eqssl-range", make("span", label), row), { set });
}

/** A box to tick, with its text; the name is for a screen reader if it is another. */
function makeCheck(text, onChange, name) {
  const box = make("input", { type: "checkbox", "aria-label": name, onchange: () => onChange(box.checked) });
  const set = (checked, resting) => {
    if (resting) box.checked = checked;
  };
  return Object.assign(make("label.eqssl-check", box, text), { set });
}

/** A button; a name that is not its text is said by a screen reader and shown to the mouse. */
function makeButton(text, onclick, name) {
  return make("button", { type: "button", "aria-label": name, title: name, onclick }, text);
}

/** A named part of an explorer: its title, a note, and what belongs there. */
function makePart(name, title, note, ...content) {
  const head = [make(".eqssl-title", title), make(".eqssl-note", note)];
  return make(".eqssl-part", { role: "group", "aria-label": name }, ...head, ...content);
}

const makeCaption = (title, ...notes) =>
  make("figcaption", make(".eqssl-title", title), ...notes.map((note) => make(".eqssl-note", note)));

/** What the marks of a picture mean; entries are lists of a mark and of words. */
const makeLegend = (entries) => make("ul.eqssl-legend", ...entries.map((entry) => make("li", ...entry)));

/** The scale of a map of colours: a bar with its ends and its middle. */
function makeScale(colours, name) {
  const ticks = ["low", "middle", "high"].map(() => make("span"));
  const bar = make(".eqssl-scale-colours");
  const body = make("div", bar, make(".eqssl-scale-ticks", ...ticks));
  const paint = (map, ...texts) => {
    bar.style.background = gradient(map);
    for (const [i, tick] of ticks.entries()) tick.textContent = texts[i];
  };
  const set = (low, high) =>
    paint(colours, ...[low, (low + high) / 2, high].map((value) => figures(value, 3)));
  return Object.assign(make(".eqssl-scale", make("span", name), body), { paint, set });
}

/** A coordinate, short enough to be written. */
const fixed = (value) => Number(value.toFixed(2));

/** What people count from 1, and computers from 0. */
const counted = (place) => String(place + 1);

const realMinus = (text) => text.replaceAll("-", "−");

/** A number with so many decimals, and a proper minus sign. */
const decimal = (value, digits = 2) => realMinus(value.toFixed(digits).replace(/^-(?=[0.]*$)/, ""));

/** A number with so many figures that count. */
const figures = (value, count) => realMinus(String(Number(value.toPrecision(count))));

/** An error that is rounding alone, such as 2e−16. */
const rounding = (value) => `${realMinus(value.toExponential(0))} (rounding)`;

/** The numbers of a binary trait of 32-bit floats. */
function asFloats(view) {
  return new Float32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
}

/** Numbers as bytes, low .. high as 0 .. 255, like to_bytes in Python, which computes in single precision. */
function toBytes(numbers, low, high) {
  const [start, scale] = [Math.fround(low), Math.fround(255 / (high - low || 1))];
  const level = (value) => Math.round(Math.fround(Math.fround(value - start) * scale));
  return Uint8Array.from(numbers, (value) => Math.min(255, Math.max(0, level(value))));
}
