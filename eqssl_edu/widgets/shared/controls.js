// Controls that the smaller explorers share. Stands between base.js and the explorer's own module.

/**
 * The frame of an explorer. build({ facts, hand, ask }) returns { element, paint(values, resting) }; hand is the
 * state that the hand wants, ahead of the picture while a move is under way; ask(changes) moves it.
 */
function explore({ model, el, name, className, build }) {
  const closing = new AbortController();
  const root = make("div", { class: `eqssl ${className}`, role: "group", "aria-label": name });
  const hand = { ...model.get("values").state };
  const ask = (changes) => {
    Object.assign(hand, changes);
    talk.ask(changes);
  };
  const { controls, body, paint } = build({ facts: model.get("facts"), hand, ask });
  root.append(make("div", { class: "eqssl-tools" }, ...controls), body);
  el.append(root);
  const draw = (resting) => {
    const values = model.get("values");
    if (resting) Object.assign(hand, values.state);
    paint(values, resting);
  };
  const talk = converse({ model, root, paint: draw, signal: closing.signal });
  return () => closing.abort();
}

/** A slider with its name before it and its value after it. */
function makeRange(label, { min, max, onMove, text = String }) {
  const value = make("output", { class: "eqssl-range-value" });
  const input = make("input", { type: "range", min, max, step: 1, "aria-label": label });
  input.addEventListener("input", () => onMove(Number(input.value)));
  const element = make("div", { class: "eqssl-range" }, make("span", {}, label), input, value);
  const set = (number, resting) => {
    value.textContent = text(number);
    if (!resting) return;
    input.value = number;
    input.setAttribute("aria-valuetext", text(number));
  };
  return { element, input, set };
}

/** A drop-down list with its name before it; choices are [value, text] pairs. */
function makeMenu(label, choices, onChoose) {
  const select = make("select", { "aria-label": label });
  setChoices(select, choices, choices[0][0]);
  select.addEventListener("change", () => onChoose(select.value));
  const element = make("div", { class: "eqssl-menu" }, make("span", {}, label), select);
  return { element, select, set: (value, resting) => resting && (select.value = value) };
}

/** Buttons of which one is pressed. */
function makeSwitch(label, choices, onChoose) {
  const buttons = choices.map(([value, text]) =>
    make("button", { type: "button", "data-value": value, onclick: () => onChoose(value) }, text),
  );
  const row = make("div", { class: "eqssl-switch", role: "group", "aria-label": label }, ...buttons);
  const element = make("div", { class: "eqssl-menu" }, make("span", {}, label), row);
  const set = (value) => buttons.forEach((button, i) => button.setAttribute("aria-pressed", choices[i][0] === value));
  return { element, buttons, set };
}

function makeAction(text, label, onclick) {
  return make("button", { type: "button", "aria-label": label ?? text, title: label ?? text, onclick }, text);
}

/** A number with so many decimals, and a proper minus sign. */
const decimal = (value, digits = 2) => (value.toFixed(digits).replace(/^-(?=[0.]*$)/, "")).replace("-", "−");

/** The numbers of a binary trait of 32-bit floats. */
function asFloats(view) {
  return new Float32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
}

/** Numbers as bytes, low .. high as 0 .. 255, like to_bytes in Python. */
function toBytes(numbers, low, high) {
  return Uint8Array.from(numbers, (value) => Math.min(255, Math.max(0, Math.round(((value - low) * 255) / (high - low || 1)))));
}

/** The scale of a map of colours: a bar with its ends and its middle. */
function makeScale(colours, name) {
  const ticks = ["low", "middle", "high"].map(() => make("span"));
  const bar = make("div", { class: "eqssl-scale-colours" });
  bar.style.background = gradient(colours);
  const row = make("div", { class: "eqssl-scale-ticks" }, ...ticks);
  const element = make("div", { class: "eqssl-scale-row" }, make("span", {}, name), make("div", {}, bar, row));
  const set = (low, high) =>
    [low, (low + high) / 2, high].forEach((value, i) => {
      ticks[i].textContent = String(Number(value.toPrecision(3))).replace("-", "−");
    });
  return { element, set };
}
