// OrbitExplorer: a picture, the group as a map to walk on, and the orbit.

const RINGS = { outer: 41, inner: 20, alone: 36 }; // radii in percent of the map's side
const KEYS = { ArrowLeft: [1, false], ArrowRight: [-1, false], ArrowUp: [0, true], ArrowDown: [0, true] };

function buildOrbit({ facts, hand, ask }) {
  const apply = (g) => ask({ element: facts.product[g][hand.element], applied: g });
  const goTo = (g) => apply(facts.product[g][facts.inverse[hand.element]]);
  const menu = makeMenu(
    "Picture",
    facts.pictures.map((name) => [name, name]),
    (picture) => ask({ picture, element: 0, applied: 0 }),
  );
  const buttons = facts.names.map((name, g) =>
    make("button", { type: "button", "aria-label": `apply ${name}`, title: `apply ${name}`, onclick: () => apply(g) }, name),
  );
  const row = make("div", { class: "eqssl-switch", role: "group", "aria-label": "Apply an element" }, ...buttons);
  const again = makeAction("Start again", undefined, () => ask({ element: 0, applied: 0 }));
  const current = makeCurrent(facts);
  const map = makeMap(facts, apply, goTo);
  const orbit = makeOrbit(facts);
  const body = make("div", { class: "eqssl-orbit-body" }, current.element, map.element, orbit.element);
  const controls = [menu.element, make("div", { class: "eqssl-menu" }, make("span", {}, "Apply"), row), again];
  const paint = (values, resting) => {
    menu.set(values.state.picture, resting);
    const bytes = asBytes(values.pixels);
    const size = values.channels * values.side ** 2;
    const pictureOf = [];
    values.makers.forEach((makers, i) => makers.forEach((g) => (pictureOf[g] = i)));
    const draw = (canvas, index) =>
      paintPicture(canvas, bytes, index * size, values.side, values.channels === 3 ? "grey" : "sequential", values.channels);
    for (const part of [current, map, orbit]) part.paint(values, pictureOf, draw);
  };
  return { controls, body, paint };
}

/** The picture as it is now, and the product that led to it. */
function makeCurrent({ names }) {
  const canvas = make("canvas", { role: "img" });
  const title = make("div", { class: "eqssl-title" });
  const step = make("p", { class: "eqssl-orbit-step", "data-name": "product" });
  const words = make("p", { class: "eqssl-note" });
  const kept = make("p", {});
  const element = make("figure", { class: "eqssl-orbit-now" }, title, canvas, step, words, kept);
  const paint = ({ state, sentence, before, kept_by: keepers }, pictureOf, draw) => {
    const { element: g, applied, picture } = state;
    title.textContent = `${picture}, moved by ${names[g]}`;
    canvas.setAttribute("aria-label", `${picture}, moved by ${names[g]}: picture ${pictureOf[g] + 1}`);
    draw(canvas, pictureOf[g]);
    step.textContent = sentence;
    const untouched = !g && !applied;
    if (untouched) step.textContent = "Apply an element.";
    words.textContent = untouched
      ? "The buttons do it, and the map."
      : `First ${names[before]}, then ${names[applied]}, is the same as ${names[g]}.`;
    kept.replaceChildren("This picture is kept by ", make("b", {}, keepers.map((k) => names[k]).join(", ")), ".");
  };
  return { element, paint };
}

/** The Cayley graph: a button for each element, at the place that its rotation and its ring give it. */
function makeMap({ group, names, rotations, steps }, apply, goTo) {
  const reflections = names.length > rotations;
  const flat = reflections && rotations < 3; // two columns instead of two rings
  const place = (g) => {
    if (flat) return [g < rotations ? 25 : 75, rotations === 1 ? 50 : [25, 75][g % rotations]];
    // Applying r turns reflections r^j m on as well; at -j each of them stands beside what the flip makes of it.
    const [turn, radius] = g < rotations ? [g, reflections ? RINGS.outer : RINGS.alone] : [rotations - g, RINGS.inner];
    const angle = (2 * Math.PI * turn) / rotations;
    return [50 - radius * Math.sin(angle), 50 - radius * Math.cos(angle)];
  };
  const marker = `eqssl-arrow-${Math.random().toString(36).slice(2)}`;
  const edges = steps.map(({ by, from, to }) => {
    const flips = by === rotations;
    const undoes = !steps.some((step) => step.by === by && step.from === to); // listed once: it has no way on
    const [[x1, y1], [x2, y2]] = [place(from), place(to)];
    const length = Math.hypot(x2 - x1, y2 - y1) || 1;
    const short = flips ? 0 : 9 / length; // an arrow ends where the button begins
    const [dx, dy] = [short * (x2 - x1), short * (y2 - y1)];
    const kind = flips ? "eqssl-orbit-flip" : "eqssl-orbit-turn";
    return makeSvg("line", {
      x1: x1 + dx, y1: y1 + dy, x2: x2 - dx, y2: y2 - dy, class: kind,
      "marker-end": undoes ? undefined : `url(#${marker})`,
    });
  });
  const head = makeSvg(
    "marker",
    { id: marker, viewBox: "0 0 10 10", refX: 8, refY: 5, markerWidth: 6, markerHeight: 6, orient: "auto-start-reverse" },
    makeSvg("path", { d: "M0 0L10 5L0 10Z", class: "eqssl-orbit-head" }),
  );
  const lines = makeSvg("svg", { viewBox: "0 0 100 100", "aria-hidden": "true" }, makeSvg("defs", {}, head), ...edges);
  const places = names.map((name, g) => {
    const canvas = make("canvas");
    const number = make("span", { class: "eqssl-orbit-number", "aria-hidden": "true" });
    const keeps = make("span", { class: "eqssl-orbit-keeps", "aria-hidden": "true" }, "=");
    const button = make(
      "button",
      { type: "button", class: "eqssl-orbit-place", tabindex: g ? -1 : 0, onclick: () => goTo(g) },
      canvas,
      make("span", { class: "eqssl-orbit-name" }, name),
      number,
      keeps,
    );
    const [x, y] = place(g);
    button.style.left = `${x}%`;
    button.style.top = `${y}%`;
    return { button, canvas, number, keeps };
  });
  const focus = (g) => {
    places.forEach(({ button }, i) => (button.tabIndex = i === g ? 0 : -1));
    places[g].button.focus();
  };
  const onkeydown = (event) => {
    const here = places.findIndex(({ button }) => button === document.activeElement);
    if (event.ctrlKey || event.metaKey || event.altKey || here < 0) return;
    if (event.key in KEYS) {
      const [by, across] = flat ? [1, event.key === "ArrowLeft" || event.key === "ArrowRight"] : KEYS[event.key];
      const ring = here < rotations ? 0 : rotations;
      // On both rings the right arrow goes clockwise; the inner one counts the other way round.
      const turn = (here - ring + (ring ? -by : by) + rotations) % rotations;
      if (!across) focus(ring + turn);
      else if (reflections) focus(ring ? (2 * rotations - here) % rotations : rotations + ((rotations - here) % rotations));
    } else if (event.key === "r" && rotations > 1) apply(1);
    else if (event.key === "m" && reflections) apply(rotations);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const board = make(
    "div",
    { class: "eqssl-orbit-map", role: "group", "aria-label": `Map of ${group}`, onkeydown },
    lines,
    ...places.map(({ button }) => button),
  );
  const legend = [
    ["turn", `${rotations > 2 ? "arrow" : "line"}: apply ${names[1]} (key r)`, rotations > 1],
    ["flip", "dashed: apply m (key m)", reflections],
    ["keeps", "does not change the picture", true],
    ["here", "where you are", true],
  ];
  const element = make(
    "figure",
    {},
    make("figcaption", { class: "eqssl-title" }, `The group ${group}, a map to walk on`),
    board,
    make(
      "ul",
      { class: "eqssl-orbit-legend" },
      ...legend
        .filter(([, , shown]) => shown)
        .map(([kind, text]) => {
          const key = make("span", { class: `eqssl-orbit-key-${kind}` }, kind === "keeps" ? "=" : "");
          return make("li", {}, key, text);
        }),
    ),
  );
  const paint = ({ state, stabilizer }, pictureOf, draw) => {
    places.forEach(({ button, canvas, number, keeps }, g) => {
      draw(canvas, pictureOf[g]);
      number.textContent = pictureOf[g] + 1;
      keeps.hidden = !stabilizer.includes(g);
      const notes = [`picture ${pictureOf[g] + 1}`];
      if (stabilizer.includes(g)) notes.push("keeps the picture");
      if (g === state.element) notes.push("you are here");
      button.setAttribute("aria-label", `go to ${names[g]}: ${notes.join(", ")}`);
      if (g === state.element) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    });
  };
  return { element, paint };
}

/** The different pictures, with the elements that make each; and the count. */
function makeOrbit({ group, names }) {
  const title = make("div", { class: "eqssl-title" });
  const list = make("ol", { class: "eqssl-orbit-pictures" });
  const count = make("p", { class: "eqssl-orbit-count eqssl-digits" });
  const words = make("p", { class: "eqssl-note" });
  const kept = make("p", {});
  const frame = { role: "group", class: "eqssl-orbit-whole", "aria-label": "Orbit and stabiliser" };
  const element = make("div", frame, title, list, count, words, kept);
  const paint = ({ state, makers, stabilizer }, pictureOf, draw) => {
    title.textContent = `The orbit of ${state.picture}: ${makers.length} ${makers.length > 1 ? "pictures" : "picture"}`;
    const items = makers.map((elements, i) => {
      const canvas = make("canvas", { role: "img", "aria-label": `picture ${i + 1}` });
      draw(canvas, i);
      const text = elements.map((g) => names[g]).join(", ");
      const here = i === pictureOf[state.element];
      return make("li", { "data-here": String(here) }, make("b", {}, String(i + 1)), canvas, make("span", {}, text));
    });
    list.replaceChildren(...items);
    count.textContent = `${makers.length} × ${stabilizer.length} = ${names.length}`;
    words.textContent = `pictures in the orbit × elements that keep the picture = elements of ${group}`;
    kept.replaceChildren(`Stabiliser of ${state.picture}: `, make("b", {}, stabilizer.map((g) => names[g]).join(", ")), ".");
  };
  return { element, paint };
}

const render = ({ model, el }) =>
  explore({ model, el, name: "Orbit explorer", className: "eqssl-orbit", build: buildOrbit });

export default { render };
