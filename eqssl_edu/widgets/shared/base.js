// What all explorers share: elements, colours, and the conversation with the kernel. Stands in front of each
// explorer's own module; nothing is imported.

const CONTROLS = ["button", "input", "select"];

/** An HTML element: make("button", { class: "big", onclick: f, "aria-label": "..." }, "text", child). */
function make(tag, attributes = {}, ...children) {
  const element = fill(document.createElement(tag), attributes, children);
  // Keys belong to the control that has the focus: JupyterLab would use arrows for its cells.
  if (CONTROLS.includes(tag)) element.setAttribute("data-lm-suppress-shortcuts", "true");
  return element;
}

/** The same for SVG. */
function makeSvg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** A drop-down list; choices are [value, text] pairs. It is built again only when the choices change. */
function setChoices(select, choices, chosen) {
  const key = JSON.stringify(choices);
  if (select.dataset.choices !== key) {
    select.dataset.choices = key;
    select.replaceChildren(...choices.map(([value, text]) => make("option", { value }, text)));
  }
  select.value = chosen;
}

// -- colours: readable with every kind of colour vision, and in grey ----------------------------------------

const COLOURS = {
  grey: ["#000000", "#ffffff"],
  // cividis (Nunez, Anderton and Renslow 2018): from 0 upwards
  sequential: [
    "#00224e",
    "#1a386f",
    "#434e6c",
    "#61656f",
    "#7d7c78",
    "#9b9476",
    "#bcae6c",
    "#dec958",
    "#fee838",
  ],
  // blue below 0, white at 0, orange above
  diverging: [
    "#08306b",
    "#2166ac",
    "#6baed6",
    "#c6dbef",
    "#f7f7f7",
    "#fdd0a2",
    "#fd8d3c",
    "#d94801",
    "#7f2704",
  ],
};

/** 256 colours as little-endian 32-bit numbers, between the anchors of a list. */
const colourTable = Object.fromEntries(
  Object.entries(COLOURS).map(([name, anchors]) => {
    const rgb = anchors.map((hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)));
    const table = new Uint32Array(256);
    for (let value = 0; value < 256; value++) {
      const place = (value / 255) * (rgb.length - 1);
      const left = Math.min(Math.floor(place), rgb.length - 2);
      const [r, g, b] = [0, 1, 2].map(
        (i) => rgb[left][i] + (place - left) * (rgb[left + 1][i] - rgb[left][i]),
      );
      table[value] = (255 << 24) | (Math.round(b) << 16) | (Math.round(g) << 8) | Math.round(r);
    }
    return [name, table];
  }),
);

const gradient = (name) => `linear-gradient(to right, ${COLOURS[name].join(", ")})`;

/** Paint one picture of side x side bytes; three planes one after the other are red, green and blue. */
function paintPicture(canvas, bytes, offset, side, colours, channels = 1) {
  if (canvas.width !== side || canvas.height !== side) {
    canvas.width = canvas.height = side;
    canvas.picture = undefined;
  }
  const context = canvas.getContext("2d");
  canvas.picture ??= context.createImageData(side, side);
  const pixels = new Uint32Array(canvas.picture.data.buffer);
  const plane = side * side;
  const table = colourTable[colours];
  for (let i = 0, at = offset; i < plane; i++, at++) {
    pixels[i] =
      channels === 3
        ? (255 << 24) | (bytes[at + 2 * plane] << 16) | (bytes[at + plane] << 8) | bytes[at]
        : table[bytes[at]];
  }
  context.putImageData(canvas.picture, 0, 0);
}

/** The bytes of a binary trait, which arrives as a DataView. */
const asBytes = (view) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);

// -- the conversation with the kernel -----------------------------------------------------------------------

const LOST_AFTER = 5000; // ms without an answer: the kernel is busy, or the message was lost

/**
 * The last position wins: one message is under way at a time, and the next leaves when its answer is painted.
 *
 * paint(resting) draws the traits; resting is false while the hand is ahead of the picture, and the controls
 * then belong to the hand. moving() may return changes that follow by themselves (an animation), or null.
 * What comes back: ask(changes, buffers) sends changes of the state, and bytes that belong to them;
 * complain(text) shows an error that needs no kernel; proceed() asks moving() again.
 * traits are those that paint needs besides the common ones.
 */
function converse({ model, root, paint, moving = () => null, traits = [], signal }) {
  const names = ["values", "error", "answered", "unfinished", ...traits];
  let token = null; // of the message under way
  let arrived = false; // its answer is here, but not yet painted
  let sent = 0;
  let next = null; // changes that wait for their turn
  let cargo; // bytes that travel with them
  let complaint = ""; // what this side found wrong; the next move clears it
  let frame = 0;
  const alert = make("div", { class: "eqssl-error", role: "alert", hidden: true });
  // What stands there from the beginning is not announced, but can be read.
  const spoken = { class: "eqssl-spoken", role: "status", "aria-live": "polite" };
  const status = make("div", spoken, model.get("readout") ?? "");
  const waiting = make("div", { class: "eqssl-waiting", role: "status" });
  root.firstElementChild.after(alert); // the controls come first
  root.append(waiting, status);

  const send = (content, buffers) => {
    token = Math.random().toString(36).slice(2);
    arrived = false;
    sent = performance.now();
    root.dataset.busy = "true";
    model.send({ token, ...content }, undefined, buffers);
  };
  const proceed = () => {
    if (token !== null && performance.now() - sent < LOST_AFTER) return;
    if (next === null && !model.get("unfinished")) next = moving();
    if (next !== null) {
      const [changes, buffers] = [next, cargo];
      next = null;
      cargo = undefined;
      send({ changes }, buffers);
    } else if (model.get("unfinished") && token === null) {
      send({ refine: true });
    }
  };
  const ask = (changes, buffers) => {
    next = { ...next, ...changes };
    cargo = buffers ?? cargo;
    complaint = "";
    proceed();
  };
  const showError = (text) => {
    text = complaint || text;
    alert.hidden = !text;
    if (alert.textContent !== text) alert.textContent = text;
  };
  const complain = (text) => {
    complaint = text;
    showError("");
  };
  const draw = () => {
    frame = 0;
    if (arrived) token = null;
    arrived = false;
    const resting = token === null && next === null;
    try {
      paint(resting);
      showError(model.get("error"));
    } catch (problem) {
      showError(`The picture could not be drawn. ${problem}`);
      console.error(problem);
      return;
    }
    if (token === null) waiting.textContent = "";
    root.dataset.busy = String(!resting);
    root.dataset.painted = Number(root.dataset.painted ?? 0) + 1;
    proceed();
  };
  // At once, not in the next frame: by then another view may have got its answer, and ours is overwritten.
  const arrive = () => (arrived ||= model.get("answered") === token);
  model.on("change:answered", arrive);
  // All traits of one answer change together: one frame paints them.
  const schedule = () => (frame ||= requestAnimationFrame(draw));
  names.forEach((name) => model.on(`change:${name}`, schedule));

  // A screen reader gets the sentence when the hand rests, not at every step on the way.
  let speech = 0;
  const speak = () => {
    clearTimeout(speech);
    speech = setTimeout(() => (status.textContent = model.get("readout")), 500);
  };
  model.on("change:readout", speak);
  const watch = setInterval(() => {
    const late = token !== null && performance.now() - sent > 1000;
    const text = late ? "The kernel is busy; the picture follows when it is free." : "";
    if (waiting.textContent !== text) waiting.textContent = text;
  }, 500);
  signal.addEventListener("abort", () => {
    cancelAnimationFrame(frame);
    clearTimeout(speech);
    clearInterval(watch);
    names.forEach((name) => model.off(`change:${name}`, schedule));
    model.off("change:answered", arrive);
    model.off("change:readout", speak);
  });
  schedule();
  return { ask, proceed, complain };
}
