// OrbitExplorer: a picture, the group as a map to walk on, and the orbit.

const RINGS = { outer: 41, inner: 20, alone: 36 }; // radii in percent of the map's side
const WAYS = { ArrowLeft: [1, false], ArrowRight: [-1, false], ArrowUp: [0, true], ArrowDown: [0, true] };

function buildOrbit({ facts, hand, ask }) {
  const { names, pictures, product, inverse } = facts;
  const apply = (g) => ask({ element: product[g][hand.element], applied: g });
  const goTo = (g) => apply(product[g][inverse[hand.element]]);
  const choices = pictures.map((name) => [name, name]);
  const picture = makeMenu("Picture", choices, (name) => ask({ picture: name, element: 0, applied: 0 }));
  const buttons = names.map((name, g) => makeButton(name, () => apply(g), `apply ${name}`));
  const row = make(".eqssl-switch", { role: "group", "aria-label": "Apply an element" }, ...buttons);
  const elements = make(".eqssl-range", make("span", "Apply"), row);
  const again = makeButton("Start again", () => ask({ element: 0, applied: 0 }));
  const parts = [makeCurrent(facts, hand, ask), makeMap(facts, apply, goTo), makeOrbit(facts)];
  const paint = (values, resting) => {
    const { side, channels } = values;
    const bytes = asBytes(values.pixels);
    const pictureOf = names.map((_, g) => values.makers.findIndex((makers) => makers.includes(g)));
    const size = channels * side ** 2;
    const draw = (canvas, i) => paintPicture(canvas, bytes, i * size, side, "sequential", channels);
    for (const part of parts) part.paint(values, pictureOf, draw, resting);
  };
  const body = make(".eqssl-body.eqssl-orbit-body", ...parts);
  return { controls: { picture, elements, again }, body, paint };
}

/** The picture as it is now, and the product that led to it. */
function makeCurrent({ names, rotations, product, inverse }, hand, ask) {
  const canvas = make("canvas", { role: "img" });
  let from = 0; // where the hand has grabbed it: what it does since is one step
  const move = (element) => ask({ element, applied: product[element][inverse[from]] });
  const handle = makeElementHandle(canvas, rotations, () => hand.element, move);
  handle.addEventListener("pointerdown", () => {
    from = hand.element;
  });
  const title = make(".eqssl-title");
  const step = make("p.eqssl-verdict-words", { "data-name": "product" });
  const words = make("p.eqssl-note");
  const kept = make("p");
  const paint = ({ state, sentence, before, kept_by: keepers }, pictureOf, draw, resting) => {
    const { element: g, applied, picture } = state;
    handle.set(g, resting);
    title.textContent = `${picture}, moved by ${names[g]}`;
    canvas.ariaLabel = `${picture}, moved by ${names[g]}: picture ${pictureOf[g] + 1}`;
    draw(canvas, pictureOf[g]);
    const untouched = !g && !applied;
    step.textContent = untouched ? "Apply an element." : sentence;
    words.textContent = untouched
      ? "The buttons do it, the map, and your hand: grab the picture and turn it."
      : `First ${names[before]}, then ${names[applied]}, is the same as ${names[g]}.`;
    kept.replaceChildren("This picture is kept by ", make("b", keepers.map((k) => names[k]).join(", ")), ".");
  };
  return Object.assign(make("figure.eqssl-orbit-now", title, handle, step, words, kept), { paint });
}

/** Where the elements are, in percent of the map's side: rotations on a ring, reflections on one within it. */
function makePlaces(names, rotations) {
  const reflections = names.length > rotations;
  return names.map((_, g) => {
    if (reflections && rotations < 3) {
      // Two columns instead of two rings.
      return [g < rotations ? 25 : 75, rotations === 1 ? 50 : [25, 75][g % rotations]];
    }
    // Applying r turns reflections r^j m on as well; at -j each stands beside what the flip makes of it.
    const turn = g < rotations ? g : rotations - g;
    const radius = g < rotations ? RINGS[reflections ? "outer" : "alone"] : RINGS.inner;
    const angle = (2 * Math.PI * turn) / rotations;
    return [50 - radius * Math.sin(angle), 50 - radius * Math.cos(angle)];
  });
}

/** The edges of the map: what applying the generators does. */
function makeEdges(places, rotations, steps) {
  const marker = `eqssl-arrow-${Math.random().toString(36).slice(2)}`;
  const edges = steps.map(({ by, from, to }) => {
    const flips = by === rotations;
    const undoes = !steps.some((step) => step.by === by && step.from === to); // listed once: it has no way on
    const [[x1, y1], [x2, y2]] = [places[from], places[to]];
    const length = Math.hypot(x2 - x1, y2 - y1) || 1;
    const short = flips ? 0 : 9 / length; // an arrow ends where the button begins
    const [dx, dy] = [short * (x2 - x1), short * (y2 - y1)];
    const ends = { x1: x1 + dx, y1: y1 + dy, x2: x2 - dx, y2: y2 - dy };
    const head = { "marker-end": undoes ? undefined : `url(#${marker})` };
    return makeSvg(`line.eqssl-orbit-${flips ? "flip" : "turn"}`, { ...ends, ...head });
  });
  const arrow = makeSvg("path.eqssl-orbit-head", { d: "M0 0L10 5L0 10Z" });
  const size = { viewBox: "0 0 10 10", refX: 8, refY: 5, markerWidth: 6, markerHeight: 6 };
  const head = makeSvg("marker", { id: marker, ...size, orient: "auto-start-reverse" }, arrow);
  return makeSvg("svg", { viewBox: "0 0 100 100", "aria-hidden": "true" }, makeSvg("defs", head), ...edges);
}

/** The Cayley graph: a button for each element, at the place that its rotation and its ring give it. */
function makeMap({ group, names, rotations, steps }, apply, goTo) {
  const reflections = names.length > rotations;
  const places = makePlaces(names, rotations);
  const stations = names.map((name, g) => {
    const canvas = make("canvas");
    const number = make("span.eqssl-badge", { "aria-hidden": "true" });
    const keeps = make("span.eqssl-badge.eqssl-orbit-keeps", { "aria-hidden": "true" }, "=");
    const button = make("button.eqssl-orbit-place", { type: "button", onclick: () => goTo(g) });
    button.append(canvas, make("span.eqssl-orbit-name", name), number, keeps);
    button.tabIndex = g ? -1 : 0;
    [button.style.left, button.style.top] = places[g].map((share) => `${share}%`);
    return Object.assign(button, { canvas, number, keeps });
  });
  const focus = (g) => {
    for (const [i, station] of stations.entries()) station.tabIndex = i === g ? 0 : -1;
    stations[g].focus();
  };
  const walk = (key, here) => {
    const columns = reflections && rotations < 3;
    const [by, across] = columns ? [1, key === "ArrowLeft" || key === "ArrowRight"] : WAYS[key];
    const ring = here < rotations ? 0 : rotations;
    // On both rings the right arrow goes clockwise; the inner one counts the other way round.
    const turn = (here - ring + (ring ? -by : by) + rotations) % rotations;
    if (!across) focus(ring + turn);
    else if (reflections) focus((ring ? 0 : rotations) + ((2 * rotations - here) % rotations));
  };
  const edges = makeEdges(places, rotations, steps);
  const attributes = { role: "group", "aria-label": `Map of ${group}` };
  const board = make(".eqssl-orbit-map", attributes, edges, ...stations);
  onKeys(board, (key) => {
    const here = stations.indexOf(document.activeElement);
    if (here < 0) return false;
    if (key in WAYS) walk(key, here);
    else if (key === "r" && rotations > 1) apply(1);
    else if (key === "m" && reflections) apply(rotations);
    else return false;
  });
  const key = (kind) => make(`span.eqssl-orbit-key-${kind}`);
  const keeps = [make("span.eqssl-badge.eqssl-orbit-keeps", "="), "does not change the picture"];
  const legend = [keeps, [key("here"), "where you are"]];
  const generator = `${rotations > 2 ? "arrow" : "line"}: apply ${names[1]} (key r)`;
  if (reflections) legend.unshift([key("flip"), "dashed: apply m (key m)"]);
  if (rotations > 1) legend.unshift([key("turn"), generator]);
  const paint = ({ state, stabilizer }, pictureOf, draw) => {
    for (const [g, station] of stations.entries()) {
      draw(station.canvas, pictureOf[g]);
      station.number.textContent = pictureOf[g] + 1;
      station.keeps.hidden = !stabilizer.includes(g);
      const notes = [`picture ${pictureOf[g] + 1}`];
      if (stabilizer.includes(g)) notes.push("keeps the picture");
      if (g === state.element) notes.push("you are here");
      station.ariaLabel = `go to ${names[g]}: ${notes.join(", ")}`;
      station.ariaCurrent = g === state.element ? "true" : null;
    }
  };
  const caption = makeCaption(`The group ${group}, a map to walk on`);
  return Object.assign(make("figure", caption, board, makeLegend(legend)), { paint });
}

/** The different pictures, with the elements that make each; and the count. */
function makeOrbit({ group, names }) {
  const title = make(".eqssl-title");
  const list = make("ol.eqssl-orbit-pictures");
  const count = make("p.eqssl-orbit-count.eqssl-digits");
  const [words, kept] = [make("p.eqssl-note"), make("p")];
  const namesOf = (elements) => elements.map((g) => names[g]).join(", ");
  const paint = ({ state, makers, stabilizer }, pictureOf, draw) => {
    title.textContent = `The orbit of ${state.picture}: ${makers.length} ${makers.length > 1 ? "pictures" : "picture"}`;
    const items = makers.map((elements, i) => {
      const canvas = make("canvas", { role: "img", "aria-label": `picture ${i + 1}` });
      draw(canvas, i);
      const item = make("li", make("b", String(i + 1)), canvas, make("span", namesOf(elements)));
      item.dataset.here = i === pictureOf[state.element];
      return item;
    });
    list.replaceChildren(...items);
    count.textContent = `${makers.length} × ${stabilizer.length} = ${names.length}`;
    words.textContent = `pictures in the orbit × elements that keep the picture = elements of ${group}`;
    kept.replaceChildren(`Stabiliser of ${state.picture}: `, make("b", namesOf(stabilizer)), ".");
  };
  const attributes = { role: "group", "aria-label": "Orbit and stabiliser" };
  return Object.assign(make(".eqssl-orbit-whole", attributes, title, list, count, words, kept), { paint });
}

const render = (view) => explore(view, "Orbit explorer", "eqssl-orbit", buildOrbit);

export default { render };
