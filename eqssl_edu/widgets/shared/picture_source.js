
// Where a picture comes from: the toolkit's own, a file, or the hand that draws. Stands in front of an explorer's
// module. Files are decoded, cropped and made smaller here; the kernel gets what the network takes.

const GREY = [0.299, 0.587, 0.114]; // luminance of red, green and blue
const PEN = 1 / 11; // of the side
const KEY_STEP = 1 / 16; // of the side, for a pen that the arrow keys move
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** The bytes of a square canvas, one channel after the other. */
function planesOf(canvas, channels) {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const size = data.length / 4;
  const planes = new Uint8Array(channels * size);
  for (let i = 0; i < size; i++) {
    if (channels === 3) for (let c = 0; c < 3; c++) planes[c * size + i] = data[4 * i + c];
    else planes[i] = Math.round(GREY.reduce((sum, weight, c) => sum + weight * data[4 * i + c], 0));
  }
  return planes.buffer;
}

function squareCanvas(side, colour) {
  const canvas = make("canvas", { width: side, height: side });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = colour;
  context.fillRect(0, 0, side, side);
  context.imageSmoothingQuality = "high";
  return canvas;
}

/** The central square of a picture in a file, as a canvas of this side; transparent parts become white. */
async function decodeFile(file, side) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw new Error(
      `${file.name} is not a picture that this browser can read. Choose a PNG, JPEG, GIF or WebP file.`,
    );
  }
  const { width, height } = bitmap;
  let size = Math.min(width, height);
  let picture = bitmap;
  let [left, top] = [(width - size) / 2, (height - size) / 2];
  // In halves: one large step would skip pixels instead of averaging them.
  do {
    const smaller = size > 2 * side ? Math.ceil(size / 2) : side;
    const canvas = squareCanvas(smaller, "#fff");
    canvas.getContext("2d").drawImage(picture, left, top, size, size, 0, 0, smaller, smaller);
    [picture, size, left, top] = [canvas, smaller, 0, 0];
  } while (size !== side);
  bitmap.close();
  return { canvas: picture, width, height };
}

/**
 * The controls under a picture. facts.input is {side, channels} of what the network takes; facts.sources are
 * [name, text] pairs; place() gives the present {angle, mirror}; stage is the element that holds the canvas.
 */
function makePictureSource({ facts, canvas, stage, place, ask, complain }) {
  const { side } = facts.input;
  const channels = facts.input.channels === 3 ? 3 : 1;
  let shown = { source: "image", picture: 0, count: 1 };
  const select = make("select", {
    "aria-label": "Picture from",
    onchange: () => {
      draw(false);
      ask({ source: select.value });
    },
  });
  const step = (by) => () => {
    shown.picture = (shown.picture + by + shown.count) % shown.count; // a second click may come before the answer
    ask({ picture: shown.picture });
  };
  const arrow = (text, label, by) =>
    make("button", { type: "button", "aria-label": label, title: label, onclick: step(by) }, text);
  const steps = [arrow("‹", "Previous picture", -1), arrow("›", "Next picture", 1)];
  const file = make("input", {
    type: "file",
    accept: "image/*",
    hidden: true,
    "aria-label": "Picture file",
    onchange: () => open(),
  });
  const browse = make("button", { type: "button", onclick: () => file.click() }, "Open a file …");
  const drawing = make(
    "button",
    { type: "button", "aria-pressed": "false", onclick: () => draw(drawing.getAttribute("aria-pressed") !== "true") },
    "Draw",
  );
  const clear = make("button", { type: "button", hidden: true, onclick: () => wipe() }, "Clear");
  const note = make("div", { class: "eqssl-note eqssl-source-note" });
  const hint = make(
    "div",
    { class: "eqssl-note", hidden: true },
    "Draw on the picture with the mouse, a finger or a pen. Keys: arrows move the pen, the space bar lowers and lifts it.",
  );
  const element = make(
    "div",
    { class: "eqssl-source" },
    make("div", { class: "eqssl-source-row" }, select, ...steps),
    make("div", { class: "eqssl-source-row" }, browse, drawing, clear),
    file,
    note,
    hint,
  );

  const open = async () => {
    const [chosen] = file.files;
    file.value = ""; // the same file may be chosen again
    if (!chosen) return;
    draw(false);
    note.textContent = `Reading ${chosen.name} …`;
    try {
      const { canvas: picture, width, height } = await decodeFile(chosen, side);
      const name = chosen.type === "image/gif" ? `${chosen.name} (first frame)` : chosen.name;
      ask({ upload: { source: "file", side, channels, name, size: [width, height] } }, [planesOf(picture, channels)]);
    } catch (problem) {
      note.textContent = "";
      complain(problem.message);
    }
  };

  // -- drawing ------------------------------------------------------------------------------------------------
  let pad = null; // the drawing, upright
  const pen = { x: 0, y: 0, down: false }; // as seen: from the centre, the side is 1
  const dot = make("div", { class: "eqssl-pen", hidden: true });
  stage.append(dot);
  const wipe = () => {
    Object.assign(pen, { x: 0, y: 0, down: false });
    pad = squareCanvas(side, "#000");
    send();
  };
  const send = () =>
    ask({ upload: { source: "drawing", side, channels: 1, name: "", size: [side, side] } }, [planesOf(pad, 1)]);
  const draw = (on) => {
    if ((drawing.getAttribute("aria-pressed") === "true") === on) return;
    drawing.setAttribute("aria-pressed", on);
    clear.hidden = hint.hidden = !on;
    dot.hidden = true;
    stage.classList.toggle("eqssl-drawing", on);
    if (!on) {
      ["tabindex", "data-lm-suppress-shortcuts"].forEach((name) => canvas.removeAttribute(name));
      canvas.setAttribute("role", "img");
      return;
    }
    canvas.setAttribute("tabindex", "0");
    canvas.setAttribute("role", "application");
    canvas.setAttribute("data-lm-suppress-shortcuts", "true");
    if (pad === null) wipe();
    else if (shown.source !== "drawing") send();
  };
  /** From where the pen is seen to where it is on the upright picture: turned back, then flipped back. */
  const upright = ({ x, y }) => {
    const { angle, mirror } = place();
    const [cos, sin] = [Math.cos((angle * Math.PI) / 180), Math.sin((angle * Math.PI) / 180)];
    const [u, v] = [x * cos - y * sin, x * sin + y * cos];
    return [((mirror ? -u : u) + 0.5) * side, (v + 0.5) * side];
  };
  const stroke = (to) => {
    const context = pad.getContext("2d");
    context.strokeStyle = "#fff";
    context.lineWidth = Math.max(1.5, side * PEN);
    context.lineCap = context.lineJoin = "round";
    context.beginPath();
    context.moveTo(...upright(pen));
    context.lineTo(...upright(to));
    context.stroke();
    send();
  };
  const moveTo = (x, y) => {
    const to = { x: Math.max(-0.5, Math.min(0.5, x)), y: Math.max(-0.5, Math.min(0.5, y)) };
    if (pen.down) stroke(to);
    Object.assign(pen, to);
    dot.style.left = `${100 * (pen.x + 0.5)}%`;
    dot.style.top = `${100 * (pen.y + 0.5)}%`;
  };
  const active = () => stage.classList.contains("eqssl-drawing");
  const follow = (event) => {
    const { left, top, width, height } = canvas.getBoundingClientRect();
    moveTo((event.clientX - left) / width - 0.5, (event.clientY - top) / height - 0.5);
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (!active()) return;
    canvas.setPointerCapture(event.pointerId);
    pen.down = false;
    follow(event);
    pen.down = true;
    follow(event); // a point
  });
  canvas.addEventListener("pointermove", (event) => active() && event.buttons && follow(event));
  ["pointerup", "pointercancel"].forEach((name) => canvas.addEventListener(name, () => (pen.down = false)));
  canvas.addEventListener("keydown", (event) => {
    if (!active()) return;
    if (event.key in ARROWS) {
      const [dx, dy] = ARROWS[event.key];
      moveTo(pen.x + dx * KEY_STEP, pen.y + dy * KEY_STEP);
    } else if (event.key === " ") {
      pen.down = !pen.down;
      moveTo(pen.x, pen.y);
    } else return;
    dot.hidden = false;
    dot.classList.toggle("eqssl-down", pen.down);
    event.preventDefault();
    event.stopPropagation();
  });

  const paint = ({ state, picture }, resting) => {
    note.textContent = picture.text;
    if (!resting) return;
    shown = { source: state.source, picture: state.picture, count: picture.count };
    const known = facts.sources.filter(([name]) => picture.own[name] !== 0);
    setChoices(select, known, state.source);
    steps.forEach((button) => (button.hidden = picture.count < 2));
    if (state.source !== "drawing") draw(false);
  };
  return { element, paint };
}
