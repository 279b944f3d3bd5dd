// EmbeddingExplorer: a map of all images; one of them turns, and its point moves or stands still.

const MAP = 560; // side of the map, in its own units
const FULL = 65535;

function buildEmbedding({ facts, hand, ask }) {
  const { elements, labels, names } = facts;
  const kinds = makeSwitch("Features", [["regular", "regular"], ["pooled", "pooled"]], (features) => ask({ features }));
  const turn = makeSwitch("Turn the image by", elements.map((name, g) => [g, name]), (element) => ask({ element }));
  turn.buttons.forEach((button, g) => button.setAttribute("aria-label", `turn by ${elements[g]}`));
  const last = facts.images.length - 1;
  const slider = makeRange("Image", {
    min: 0,
    max: last,
    onMove: (place) => ask({ image: facts.images[place] }),
    text: (place) => String(facts.images[place] + 1),
  });
  const select = (image) => facts.images.includes(image) && ask({ image });
  const map = makeScatter(facts, hand, select, ask);
  const canvas = make("canvas", { role: "img" });
  const title = make("div", { class: "eqssl-title" });
  const verdict = make("span", { class: "eqssl-em-verdict" });
  const moved = make("b", { class: "eqssl-digits" });
  const words = make("p", { class: "eqssl-note" });
  const share = make("p", { class: "eqssl-note" });
  const preview = makePreview(facts);
  const side = make(
    "div",
    { role: "group", class: "eqssl-em-side", "aria-label": "The chosen image" },
    make("div", {}, title, make("div", { class: "eqssl-em-now" }, canvas)),
    make("div", {}, make("div", {}, verdict), make("p", {}, "Distance from the upright image: ", moved), words, share, preview.element),
  );
  map.onLook = preview.show;
  const body = make("div", { class: "eqssl-em-body" }, map.element, side);
  const paint = (values, resting) => {
    const { state } = values;
    kinds.set(state.features);
    turn.set(state.element);
    slider.set(Math.max(0, facts.images.indexOf(state.image)), resting);
    map.paint(values);
    paintPicture(canvas, asBytes(values.pixels), 0, values.side, "grey", facts.channels);
    const what = `Image ${state.image + 1}: class ${names[labels[state.image]]}, turned by ${elements[state.element]}`;
    title.textContent = what;
    canvas.setAttribute("aria-label", what);
    const distance = values.moved[state.element];
    verdict.dataset.still = values.still;
    verdict.textContent = values.still ? "● The point stands still" : "↻ The point moves along its orbit";
    moved.textContent = distance < 1e-4 ? `${distance.toExponential(0).replace("e-", "e−")} (rounding)` : decimal(distance, 2);
    if (distance === 0) moved.textContent = "0";
    moved.dataset.moved = distance;
    words.textContent = `In typical distances between two images, in all dimensions of the ${state.features} features.`;
    share.textContent = `The map shows the two directions of the largest variance, ${decimal(100 * values.share, 0)} % of all.`;
  };
  return { controls: [kinds.element, slider.element, turn.element], body, paint };
}

const colourOf = (label) => label % 8;

/** All points, each with the first letter of its class; the orbit of the chosen image on top. */
function makeScatter({ labels, names, elements, count, images }, hand, select, ask) {
  const markOf = (label) => names[label].slice(0, 1);
  const marks = labels.map((label) =>
    makeSvg("text", { class: `eqssl-em-mark eqssl-em-colour-${colourOf(label)}` }, markOf(label)),
  );
  const layer = makeSvg("g", {}, ...marks);
  const path = makeSvg("path", { class: "eqssl-em-orbit" });
  const stops = elements.map(() =>
    makeSvg("g", { class: "eqssl-em-stop" }, makeSvg("circle", { r: 5 }), makeSvg("text", { y: -9 })),
  );
  const here = makeSvg("circle", { r: 11, class: "eqssl-em-here" });
  const look = makeSvg("circle", { r: 11, class: "eqssl-em-look" });
  const svg = makeSvg("svg", { viewBox: `0 0 ${MAP} ${MAP}` }, layer, path, ...stops, look, here);
  const present = [...new Set(labels)].sort((a, b) => a - b);
  const legend = present.map((label) => {
    const key = make("b", { class: `eqssl-em-key-${colourOf(label)}` }, markOf(label));
    return make("li", {}, key, names[label] === markOf(label) ? "" : ` ${names[label]}`);
  });
  const board = make("div", {
    class: "eqssl-em-map",
    role: "application",
    tabindex: 0,
    "aria-label": "Map of the images. Arrow keys: the next point in that direction.",
    "data-lm-suppress-shortcuts": "true",
  }, svg);
  const hint = "Point at a mark to see its image; click to choose it. Each axis has its own scale.";
  const part = {
    onLook: () => {},
    element: make(
      "figure",
      {},
      make("figcaption", {}, make("div", { class: "eqssl-title" }, "Map of the embeddings"), make("div", { class: "eqssl-note" }, hint)),
      board,
      make("ul", { class: "eqssl-em-legend" }, ...legend),
    ),
  };
  let places = [];
  const nearest = (x, y) => {
    let [best, smallest] = [0, Infinity];
    places.forEach(([px, py], i) => {
      const distance = (px - x) ** 2 + (py - y) ** 2;
      if (distance < smallest) [best, smallest] = [i, distance];
    });
    return best;
  };
  const at = (event) => {
    const { left, top, width, height } = svg.getBoundingClientRect();
    return nearest(((event.clientX - left) / width) * MAP, ((event.clientY - top) / height) * MAP);
  };
  const lookAt = (index) => {
    look.setAttribute("transform", `translate(${places[index]})`);
    part.onLook(index);
  };
  board.addEventListener("pointermove", (event) => lookAt(at(event)));
  board.addEventListener("click", (event) => select(at(event)));
  board.addEventListener("keydown", (event) => {
    const way = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!way || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    // The nearest of the points that lie in a quarter of the plane, in the direction of the arrow.
    const [x, y] = places[hand.image];
    let [best, smallest] = [hand.image, Infinity];
    for (const i of images) {
      const [dx, dy] = [places[i][0] - x, places[i][1] - y];
      const ahead = dx * way[0] + dy * way[1];
      const aside = Math.abs(dx * way[1]) + Math.abs(dy * way[0]);
      if (i !== hand.image && ahead > 0 && aside <= ahead && Math.hypot(dx, dy) < smallest) [best, smallest] = [i, Math.hypot(dx, dy)];
    }
    select(best);
    lookAt(best);
  });
  let drawn = null;
  part.paint = ({ points, orbit, state, still }) => {
    const bytes = asBytes(points);
    const scale = (value) => (value / FULL) * MAP;
    const key = Array.from(bytes).join();
    const numbers = new Uint16Array(bytes.slice().buffer);
    if (drawn !== key) {
      drawn = key;
      places = Array.from({ length: count }, (_, i) => [scale(numbers[2 * i]), MAP - scale(numbers[2 * i + 1])]);
      marks.forEach((mark, i) => {
        mark.setAttribute("x", fixed(places[i][0]));
        mark.setAttribute("y", fixed(places[i][1] + 4));
      });
    }
    const stations = orbit.map(([x, y]) => [fixed(scale(x)), fixed(MAP - scale(y))]);
    // In the order of the turns; the reflections make a second round.
    path.setAttribute("d", still ? "" : rounds(stations, elements).map((round) => `M${round.join("L")}Z`).join(""));
    // Elements that lead to the same place share a name tag there.
    const near = (g, h) => Math.abs(stations[g][0] - stations[h][0]) < 34 && Math.abs(stations[g][1] - stations[h][1]) < 12;
    stops.forEach((stop, g) => {
      stop.setAttribute("transform", `translate(${stations[g]})`);
      const owner = elements.findIndex((_, h) => near(g, h));
      const tag = elements.filter((_, h) => elements.findIndex((_, i) => near(h, i)) === g).join(", ");
      stop.lastChild.textContent = owner === g && !still ? tag : "";
    });
    here.setAttribute("transform", `translate(${stations[state.element]})`);
    here.dataset.place = stations[state.element].join(" ");
    svg.setAttribute("role", "img");
    const spots = new Set(stations.map(String)).size;
    const moves = `is at ${elements[state.element]}, one of ${spots} places of its orbit`;
    svg.setAttribute("aria-label", `${count} images; the chosen one ${still ? "stands still" : moves}`);
  };
  return part;
}

const fixed = (value) => Number(value.toFixed(1));

function rounds(stations, elements) {
  const turns = elements.filter((name) => !name.includes("m")).length;
  return [stations.slice(0, turns), stations.slice(turns)].filter((round) => round.length > 1);
}

/** The image that the pointer is at. */
function makePreview({ labels, names, thumbnails, thumbnail_side: side }) {
  const bytes = asBytes(thumbnails);
  const canvas = make("canvas", { role: "img" });
  const words = make("div", { class: "eqssl-note" });
  const element = make("div", { class: "eqssl-em-preview", hidden: true }, canvas, words);
  const show = (index) => {
    element.hidden = false;
    paintPicture(canvas, bytes, index * side * side, side, "grey");
    words.textContent = `Here: image ${index + 1}, class ${names[labels[index]]}`;
    canvas.setAttribute("aria-label", words.textContent);
  };
  return { element, show };
}

const render = ({ model, el }) =>
  explore({ model, el, name: "Embedding explorer", className: "eqssl-em", build: buildEmbedding });

export default { render };
