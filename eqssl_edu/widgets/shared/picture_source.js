// Where a picture comes from: the toolkit's own, a file, or the hand that draws. Stands in front of an explorer.
// Files are decoded, cropped and made smaller here; the kernel gets what the network takes.

const GREY = [0.299, 0.587, 0.114]; // luminance of red, green and blue
const BRIGHT = 0.75 * 255; // mean luminance: brighter ink is put on black, any other on white
const PEN = 1 / 11; // of the side
const KEY_STEP = 1 / 16; // of the side, for a pen that the arrow keys move
const UNREADABLE = "is not a picture that this browser can read. Choose a PNG, JPEG, GIF or WebP file.";
const DRAWING_HINT =
  "Draw on the picture with the mouse, a finger or a pen. Keys: arrows move the pen, the space bar lowers and lifts it.";
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

/** What lies behind a transparent picture, so that its ink can be seen: as in eqssl_edu.data.load_images. */
function groundOf(picture) {
  const canvas = make("canvas", { width: 64, height: 64 });
  const context = canvas.getContext("2d");
  context.drawImage(picture, 0, 0, 64, 64);
  const { data } = context.getImageData(0, 0, 64, 64);
  let [ink, light] = [0, 0];
  for (let i = 0; i < data.length; i += 4) {
    ink += data[i + 3];
    light += data[i + 3] * GREY.reduce((sum, weight, c) => sum + weight * data[i + c], 0);
  }
  return ink < 255 * 64 * 64 && light > BRIGHT * ink ? "#000" : "#fff";
}

/** The central square of a picture in a file, as a canvas of this side. */
async function decodeFile(file, side) {
  const bitmap = await createImageBitmap(file).catch(() => {
    throw new Error(`${file.name} ${UNREADABLE}`);
  });
  const { width, height } = bitmap;
  const ground = groundOf(bitmap);
  let size = Math.min(width, height);
  let picture = bitmap;
  let [left, top] = [(width - size) / 2, (height - size) / 2];
  // In halves: one large step would skip pixels instead of averaging them.
  do {
    const smaller = size > 2 * side ? Math.ceil(size / 2) : side;
    const canvas = squareCanvas(smaller, ground);
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
  const send = (source, picture, planes, name = "", size = [side, side]) =>
    ask({ upload: { source, side, channels: planes, name, size } }, [planesOf(picture, planes)]);
  const onchange = () => {
    pad.use(false);
    ask({ source: select.value });
  };
  const select = make("select", { "aria-label": "Picture from", onchange });
  const step = (by) => () => {
    shown.picture = (shown.picture + by + shown.count) % shown.count; // a click may come before the answer
    ask({ picture: shown.picture });
  };
  const steps = [makeButton("‹", step(-1), "Previous picture"), makeButton("›", step(1), "Next picture")];
  const open = async () => {
    const [chosen] = file.files;
    file.value = ""; // the same file may be chosen again
    if (!chosen) return;
    pad.use(false);
    note.textContent = `Reading ${chosen.name} …`;
    try {
      const { canvas: picture, width, height } = await decodeFile(chosen, side);
      const name = chosen.type === "image/gif" ? `${chosen.name} (first frame)` : chosen.name;
      send("file", picture, channels, name, [width, height]);
    } catch (problem) {
      note.textContent = "";
      complain(problem.message);
    }
  };
  const file = make("input", { type: "file", accept: "image/*", hidden: true, onchange: open });
  file.ariaLabel = "Picture file";
  const browse = makeButton("Open a file …", () => file.click());
  const note = make(".eqssl-note.eqssl-source-note");
  const sendDrawing = (drawing) => send("drawing", drawing, 1);
  const isShown = () => shown.source === "drawing";
  const pad = makePad({ side, canvas, stage, place, send: sendDrawing, isShown });
  const paint = ({ state, picture }, resting) => {
    note.textContent = picture.text;
    if (!resting) return;
    shown = { source: state.source, picture: state.picture, count: picture.count };
    const known = facts.sources.filter(([name]) => picture.own[name] !== 0);
    setChoices(select, known, state.source);
    for (const button of steps) button.hidden = picture.count < 2;
    if (state.source !== "drawing") pad.use(false);
  };
  const row = (...parts) => make(".eqssl-source-row", ...parts);
  const rows = [row(select, ...steps), row(browse, ...pad.buttons)];
  return Object.assign(make(".eqssl-source", ...rows, file, note, pad.hint), { paint });
}

/** The hand that draws on the picture; use(on) begins and ends it. */
function makePad({ side, canvas, stage, place, send, isShown }) {
  let pad = null; // the drawing, upright
  let on = false;
  const pen = { x: 0, y: 0, down: false }; // as seen: from the centre, the side is 1
  const dot = make(".eqssl-pen", { hidden: true });
  stage.append(dot);
  const wipe = () => {
    Object.assign(pen, { x: 0, y: 0, down: false });
    pad = squareCanvas(side, "#000");
    send(pad);
  };
  const draw = makeButton("Draw", () => use(!on));
  const clear = makeButton("Clear", wipe);
  const hint = make(".eqssl-note", DRAWING_HINT);
  const use = (wanted) => {
    if (on === wanted) return;
    on = wanted;
    show();
    if (on && pad === null) wipe();
    else if (on && !isShown()) send(pad);
  };
  const show = () => {
    draw.ariaPressed = on;
    clear.hidden = hint.hidden = !on;
    dot.hidden = true;
    stage.classList.toggle("eqssl-drawing", on);
    canvas.role = on ? "application" : "img";
    setAttributes(canvas, { tabindex: on && 0 });
  };
  show();
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
    send(pad);
  };
  const moveTo = (x, y) => {
    const to = { x: Math.max(-0.5, Math.min(0.5, x)), y: Math.max(-0.5, Math.min(0.5, y)) };
    if (pen.down) stroke(to);
    Object.assign(pen, to);
    dot.style.left = `${100 * (pen.x + 0.5)}%`;
    dot.style.top = `${100 * (pen.y + 0.5)}%`;
  };
  const follow = (event) => moveTo(...placeIn(canvas, event).map((share) => share - 0.5));
  const drawTo = (event) => {
    pen.down = true;
    follow(event);
    pen.down = false;
  };
  const start = (event) => {
    if (!on) return false;
    canvas.focus();
    pen.down = false;
    follow(event);
    drawTo(event); // a point
  };
  onDrag(canvas, start, drawTo);
  onKeys(canvas, (key) => {
    if (!on || !(key in ARROWS || key === " ")) return false;
    if (key === " ") pen.down = !pen.down;
    const [dx, dy] = ARROWS[key] ?? [0, 0];
    moveTo(pen.x + dx * KEY_STEP, pen.y + dy * KEY_STEP);
    dot.hidden = false;
    dot.classList.toggle("eqssl-down", pen.down);
  });
  return { buttons: [draw, clear], hint, use };
}
