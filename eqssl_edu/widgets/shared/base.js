// What all explorers share: elements, colours, and the conversation with the kernel. Stands in front of each
// explorer's own module; nothing is imported.

/**
 * An HTML element: make("button.big", { onclick: f, "aria-label": "..." }, "text", child). Classes follow the
 * tag, which is a div unless named; attributes may be left out, as in make(".eqssl-note", "text").
 */
function make(name, ...rest) {
  const [tag, ...classes] = name.split(".");
  const element = fill(document.createElement(tag || "div"), classes, rest);
  // Keys belong to the control that has the focus: JupyterLab would use arrows for its cells.
  if (["button", "input", "select"].includes(tag)) element.setAttribute("data-lm-suppress-shortcuts", "true");
  return element;
}

/** The same for SVG. */
function makeSvg(name, ...rest) {
  const [tag, ...classes] = name.split(".");
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), classes, rest);
}

function fill(element, classes, [first = {}, ...rest]) {
  const given = first.constructor === Object;
  if (classes.length) element.classList.add(...classes);
  setAttributes(element, given ? first : {});
  element.append(...(given ? rest : [first, ...rest]));
  return element;
}

/** Set attributes: false, null and undefined take them away, a function listens to an event. */
function setAttributes(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === false || value == null) element.removeAttribute(name);
    else element.setAttribute(name, value === true ? "" : value);
  }
}

/** The children of an element, one for each item. They are kept as long as there are as many. */
function childrenOf(element, items, build) {
  if (element.childElementCount !== items.length)
    element.replaceChildren(...items.map((item) => build(item)));
  return [...element.children];
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

const OPAQUE = 255 << 24;

/** 256 colours as little-endian 32-bit numbers, between the anchors of a list. */
function makeColourTable(anchors) {
  const rgb = anchors.map((hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)));
  return Uint32Array.from({ length: 256 }, (_, value) => {
    const place = (value / 255) * (rgb.length - 1);
    const left = Math.min(Math.floor(place), rgb.length - 2);
    const mix = (from, i) => Math.round(from + (place - left) * (rgb[left + 1][i] - from));
    const [r, g, b] = rgb[left].map(mix);
    return OPAQUE | (b << 16) | (g << 8) | r;
  });
}

const colourTable = {}; // of the maps whose anchors Python writes above: grey, sequential, diverging
for (const [name, anchors] of Object.entries(COLOURS)) colourTable[name] = makeColourTable(anchors);

const gradient = (name) => `linear-gradient(to right, ${COLOURS[name].join(", ")})`;

/** Paint one picture of side x side bytes; three planes one after the other are red, green and blue. */
function paintPicture(canvas, bytes, offset, side, colours, channels = 1) {
  if (canvas.width !== side || canvas.height !== side) canvas.width = canvas.height = side;
  const context = canvas.getContext("2d");
  const picture = context.createImageData(side, side);
  const pixels = new Uint32Array(picture.data.buffer);
  const plane = side * side;
  const [green, blue] = [offset + plane, offset + 2 * plane];
  const table = colourTable[colours];
  for (let i = 0; i < plane; i++) {
    const value = bytes[offset + i];
    if (channels < 3) pixels[i] = table[value];
    else pixels[i] = OPAQUE | (bytes[blue + i] << 16) | (bytes[green + i] << 8) | value;
  }
  context.putImageData(picture, 0, 0);
}

/** The bytes of a binary trait, which arrives as a DataView, or as base64 where bytes would be dropped. */
const asBytes = (view) =>
  view.$base64
    ? Uint8Array.from(atob(view.$base64), (letter) => letter.charCodeAt(0))
    : new Uint8Array(view.buffer, view.byteOffset, view.byteLength);

/** Say that a widget is seen: to the kernel, and to the page that stands beside it (elsewhere.js). */
function present(root, model) {
  root.dataset.key = model.get("key") ?? "";
  if (model.get("drawn") !== false) return; // known already, or a page without a kernel
  model.set("drawn", true);
  model.save_changes();
}

/** Where an event is in an element, as shares of its width and height. */
function placeIn(element, { clientX, clientY }) {
  const { left, top, width, height } = element.getBoundingClientRect();
  return [(clientX - left) / width, (clientY - top) / height];
}

/** From a press on the element, unless start(event) is false, move(event) at every step, to end(event), its release. */
function onDrag(element, start, move, end = () => {}) {
  element.addEventListener("pointerdown", (event) => {
    if (event.button || start(event) === false) return;
    element.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  element.addEventListener(
    "pointermove",
    (event) => element.hasPointerCapture(event.pointerId) && move(event),
  );
  const release = (event) => element.hasPointerCapture(event.pointerId) && end(event);
  setAttributes(element, { onpointerup: release, onpointercancel: release });
}

/** Keys go to press(key); what it takes, that is all for which it is not false, goes nowhere else. */
function onKeys(element, press) {
  element.setAttribute("data-lm-suppress-shortcuts", "true"); // as for controls
  element.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || press(event.key) === false) return;
    event.preventDefault();
    event.stopPropagation();
  });
}

const LOST_AFTER = 5000; // ms without an answer: the kernel is busy, or the message was lost

/** Act on every change of these traits until the view is closed. */
function listen(model, signal, names, act) {
  for (const name of names) model.on(`change:${name}`, act);
  signal.addEventListener("abort", () => {
    for (const name of names) model.off(`change:${name}`, act);
  });
}

/** A function that acts in the next frame, once however often it is called, until the view is closed. */
function inNextFrame(act, signal) {
  let frame = 0;
  signal.addEventListener("abort", () => cancelAnimationFrame(frame));
  return () => {
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      act();
    });
  };
}

/** Set a text that is announced: the same once more would be announced again. */
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

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
  let token = null; // of the message under way
  let arrived = false; // its answer is here, but not yet painted
  let sent = 0;
  let next = null; // changes that wait for their turn
  let cargo; // bytes that travel with them
  let complaint = ""; // what this side found wrong; the next move clears it
  const alert = make(".eqssl-error", { role: "alert", hidden: true });
  // What stands there from the beginning is not announced, but can be read.
  const status = make(".eqssl-spoken", { role: "status", "aria-live": "polite" }, model.get("readout"));
  const waiting = make(".eqssl-waiting", { role: "status" });
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
    alert.hidden = !(complaint || text);
    say(alert, complaint || text);
  };
  const complain = (text) => {
    complaint = text;
    showError("");
  };
  const draw = () => {
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
  listen(model, signal, ["answered"], () => {
    arrived ||= model.get("answered") === token;
  });
  // All traits of one answer change together: one frame paints them.
  const schedule = inNextFrame(draw, signal);
  listen(model, signal, ["values", "error", "answered", "unfinished", ...traits], schedule);
  // A screen reader gets the sentence when the hand rests, not at every step on the way.
  let speech = 0;
  listen(model, signal, ["readout"], () => {
    clearTimeout(speech);
    speech = setTimeout(() => say(status, model.get("readout")), 500);
  });
  const watch = setInterval(() => {
    const late = token !== null && performance.now() - sent > 1000;
    say(waiting, late ? "The kernel is busy; the picture follows when it is free." : "");
  }, 500);
  signal.addEventListener("abort", () => {
    clearTimeout(speech);
    clearInterval(watch);
  });
  schedule();
  return { ask, proceed, complain };
}
