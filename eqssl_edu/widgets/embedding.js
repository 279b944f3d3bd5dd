// EmbeddingExplorer: a map of all images; one of them turns, and its point moves or stands still.

const MAP = 440; // side of the map, in its own units
const FULL = 65535;
const WAYS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function buildEmbedding({ facts, hand, ask }) {
  const { labels, names, images } = facts;
  const kinds = ["regular", "pooled"].map((kind) => [kind, kind]);
  const features = makeSwitch("Features", kinds, (kind) => ask({ features: kind }));
  const turns = facts.elements.map((name, g) => [g, name, `turn by ${name}`]);
  const element = makeSwitch("Turn the image by", turns, (g) => ask({ element: g }));
  const choose = (place) => ask({ image: images[place] });
  const text = (place) => counted(images[place]);
  const image = makeRange("Image", { max: images.length - 1, onMove: choose, text });
  const { set } = image;
  image.set = (value, resting) => set(Math.max(0, images.indexOf(value)), resting);
  const preview = makePreview(facts);
  const map = makeScatter(facts, hand, ask, preview.show);
  const canvas = make("canvas", { role: "img" });
  const { length: rotations } = facts.elements.filter((name) => !name.includes("m"));
  const move = (g) => ask({ element: g });
  const handle = makeElementHandle(canvas, rotations, () => hand.element, move);
  const title = make(".eqssl-title");
  const verdict = make("span.eqssl-verdict-words.eqssl-em-verdict");
  const moved = make("b.eqssl-digits");
  const [words, share] = [make("p.eqssl-note"), make("p.eqssl-note")];
  const paint = (values, resting) => {
    const { state, still } = values;
    map.paint(values);
    handle.set(state.element, resting);
    paintPicture(canvas, asBytes(values.pixels), 0, values.side, "grey", facts.channels);
    const turned = `turned by ${facts.elements[state.element]}`;
    title.textContent = `Image ${state.image + 1}: class ${names[labels[state.image]]}, ${turned}`;
    canvas.ariaLabel = title.textContent;
    verdict.textContent = still ? "● The point stands still" : "↻ The point moves along its orbit";
    const distance = values.moved[state.element];
    moved.textContent = distance === 0 ? "0" : distance < 1e-4 ? rounding(distance) : decimal(distance);
    moved.dataset.moved = distance;
    words.textContent = `In typical distances between two images, in all dimensions of the ${state.features} features.`;
    const percent = decimal(100 * values.share, 0);
    const shown = "The map shows the two directions of the largest variance";
    share.textContent = `${shown}, ${percent} % of all; each has its own scale.`;
  };
  const now = make("div", title, make(".eqssl-em-now", handle), make(".eqssl-note", "Grab it and turn it."));
  const distanceRow = make("p", "Distance from the upright image: ", moved);
  const said = make("div", make("div", verdict), distanceRow, words, share, preview);
  const side = make(".eqssl-em-side", { role: "group", "aria-label": "The chosen image" }, now, said);
  const body = make(".eqssl-body.eqssl-em-body", map, side);
  return { controls: { features, image, element }, body, paint };
}

/** All points, each with the first letter of its class; the orbit of the chosen image on top. */
function makeScatter({ labels, names, elements, count, images }, hand, ask, onLook) {
  const markOf = (label) => names[label].slice(0, 1);
  const colourOf = (label) => ({ style: `color: var(--eqssl-line-${label % 8})` });
  const marks = labels.map((label) => makeSvg("text.eqssl-em-mark", colourOf(label), markOf(label)));
  const orbit = makeOrbit(elements);
  const look = makeSvg("circle.eqssl-em-look", { r: 11 });
  const svg = makeSvg("svg", { role: "img", viewBox: `0 0 ${MAP} ${MAP}` }, ...marks, orbit, look);
  const present = [...new Set(labels)].sort((a, b) => a - b);
  const keyOf = (label) => make("b", colourOf(label), markOf(label));
  const wordsOf = (label) => (names[label] === markOf(label) ? "" : names[label]);
  const legend = present.map((label) => [keyOf(label), wordsOf(label)]);
  const board = make(".eqssl-em-map", { role: "application", tabindex: 0 }, svg);
  board.ariaLabel = "Map of the images. Arrow keys: the next point in that direction.";
  let places = [];
  /** The image whose distance is smallest. */
  const nearest = (distance) => places.reduce((best, _, i) => (distance(i) < distance(best) ? i : best), 0);
  const at = (event) => {
    const [x, y] = placeIn(svg, event).map((share) => share * MAP);
    return nearest((i) => Math.hypot(places[i][0] - x, places[i][1] - y));
  };
  const lookAt = (image) => {
    setAttributes(look, { transform: `translate(${places[image]})` });
    onLook(image);
  };
  const select = (image) => images.includes(image) && ask({ image });
  board.addEventListener("pointermove", (event) => lookAt(at(event)));
  board.addEventListener("click", (event) => select(at(event)));
  onKeys(board, (key) => {
    if (!(key in WAYS)) return false;
    const [right, down] = WAYS[key];
    const [x, y] = places[hand.image];
    // The nearest of the points that lie in a quarter of the plane, in the direction of the arrow.
    const distance = (i) => {
      const [dx, dy] = [places[i][0] - x, places[i][1] - y];
      const ahead = dx * right + dy * down;
      const aside = Math.abs(dx * down) + Math.abs(dy * right);
      return images.includes(i) && ahead > 0 && aside <= ahead ? Math.hypot(dx, dy) : Infinity;
    };
    const found = nearest(distance);
    const next = distance(found) < Infinity ? found : hand.image;
    select(next);
    lookAt(next);
  });
  let drawn = null;
  const scale = (value) => (value / FULL) * MAP;
  const paint = (values) => {
    const bytes = asBytes(values.points);
    const key = bytes.join();
    if (drawn !== key) {
      drawn = key;
      const numbers = new Uint16Array(bytes.slice().buffer);
      const place = (i) => [scale(numbers[2 * i]), MAP - scale(numbers[2 * i + 1])];
      places = Array.from({ length: count }, (_, i) => place(i));
      for (const [i, [x, y]] of places.entries()) setAttributes(marks[i], { x: fixed(x), y: fixed(y + 4) });
    }
    const stations = values.orbit.map(([x, y]) => [fixed(scale(x)), fixed(MAP - scale(y))]);
    orbit.paint(values, stations);
    const spots = new Set(stations.map(String)).size;
    const moves = `is at ${elements[values.state.element]}, one of ${spots} places of its orbit`;
    svg.ariaLabel = `${count} images; the chosen one ${values.still ? "stands still" : moves}`;
  };
  const hint = "Point at a mark to see its image; click to choose it.";
  const parts = [makeCaption("Map of the embeddings", hint), board, makeLegend(legend)];
  return Object.assign(make("figure", ...parts), { paint });
}

/** Where the chosen image goes: its places in the order of the turns, and where it is now. */
function makeOrbit(elements) {
  const turns = elements.filter((name) => !name.includes("m")).length;
  const path = makeSvg("path.eqssl-em-orbit");
  const makeStop = () => makeSvg("g.eqssl-em-stop", makeSvg("circle", { r: 5 }), makeSvg("text", { y: -9 }));
  const stops = elements.map(makeStop);
  const here = makeSvg("circle.eqssl-em-here", { r: 11 });
  const paint = ({ state, still }, stations) => {
    // The reflections make a second round.
    const rounds = [stations.slice(0, turns), stations.slice(turns)].filter((round) => round.length > 1);
    setAttributes(path, { d: still ? "" : rounds.map((round) => `M${round.join("L")}Z`).join("") });
    // Elements that lead to the same place share a name tag there.
    const near = ([x1, y1], [x2, y2]) => Math.abs(x1 - x2) < 34 && Math.abs(y1 - y2) < 12;
    const owners = stations.map((station) => stations.findIndex((other) => near(station, other)));
    for (const [g, stop] of stops.entries()) {
      setAttributes(stop, { transform: `translate(${stations[g]})` });
      const shared = elements.filter((_, h) => owners[h] === g);
      stop.lastChild.textContent = still || owners[g] !== g ? "" : shared.join(", ");
    }
    setAttributes(here, { transform: `translate(${stations[state.element]})` });
    here.dataset.place = stations[state.element].join(" ");
  };
  return Object.assign(makeSvg("g", path, ...stops, here), { paint });
}

/** The image that the pointer is at. */
function makePreview({ labels, names, thumbnails, thumbnail_side: side }) {
  const bytes = asBytes(thumbnails);
  const canvas = make("canvas", { role: "img" });
  const words = make(".eqssl-note");
  const preview = make(".eqssl-em-preview", { hidden: true }, canvas, words);
  preview.show = (image) => {
    preview.hidden = false;
    paintPicture(canvas, bytes, image * side * side, side, "grey");
    words.textContent = canvas.ariaLabel = `Here: image ${image + 1}, class ${names[labels[image]]}`;
  };
  return preview;
}

const render = (view) => explore(view, "Embedding explorer", "eqssl-em", buildEmbedding);

export default { render };
