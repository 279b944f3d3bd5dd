// LabelActionExplorer: an image as a pretext task, turned, and what each action says of its label.

const WORDS = {
  RotationPuzzle: {
    input: "The input: turned",
    undone: "Turned back by the label",
    right: "The picture is upright again.",
    wrong: "The picture is not upright.",
    reading: "",
  },
  LocationPuzzle: {
    input: "The input: two patches",
    undone: "Laid there by the label",
    right: "The patch fits its place.",
    wrong: "The patch does not fit there.",
    reading: "",
  },
  JigsawPuzzle: {
    input: "The input: tiles moved",
    undone: "Put back by the label",
    right: "The picture is whole.",
    wrong: "The tiles do not fit.",
    reading: "Digit p says where the tile at place p went; places are counted row by row from 0.",
  },
};

function buildLabelAction({ facts, hand, ask }) {
  const { names, tasks } = facts;
  const menu = makeMenu(
    "Task",
    tasks.map((name) => [name, name]),
    // A new task begins with a label and an action of its own, which the kernel chooses.
    (task) => ask({ task, label: undefined, action: undefined }),
  );
  const slider = makeRange("Label", { min: 0, max: 1, onMove: (label) => ask({ label }), text: (value) => String(value + 1) });
  const turn = makeSwitch("Turn the input by", names.map((name, g) => [g, name]), (element) => ask({ element }));
  turn.buttons.forEach((button, g) => button.setAttribute("aria-label", `turn by ${names[g]}`));
  const pictures = Array.from({ length: 4 }, () => {
    const canvas = make("canvas", { role: "img" });
    const title = make("div", { class: "eqssl-title" });
    const words = make("p", {});
    return { canvas, title, words, element: make("figure", { class: "eqssl-la-picture" }, title, canvas, words) };
  });
  const verdict = make("span", { class: "eqssl-verdict" });
  const sentence = make("p", {});
  pictures[3].element.append(verdict, sentence);
  const legend = make("p", { class: "eqssl-note" });
  pictures[1].element.append(legend);
  const table = makeActionTable(names, ask);
  const row = make("div", { class: "eqssl-la-pictures" }, ...pictures.map((picture) => picture.element));
  const body = make("div", {}, row, table.element);
  const paint = (values, resting) => {
    const { state, actions, label, truth, pixels, sides, channels } = values;
    menu.set(state.task, resting);
    slider.input.max = values.size - 1;
    slider.set(state.label, resting);
    turn.set(state.element);
    const { cells } = actions.find(({ name }) => name === state.action);
    const cell = cells[state.element];
    const said = WORDS[values.kind];
    const titles = ["The image", said.input, `Turned by ${names[state.element]}`, said.undone];
    const texts = [
      "",
      ["label ", label],
      ["label read off the picture: ", truth.join(" or ") || "none"],
      [`the ${state.action} action says `, cell.label],
    ];
    const bytes = asBytes(pixels);
    let offset = 0;
    pictures.forEach(({ canvas, title, words }, i) => {
      paintPicture(canvas, bytes, offset, sides[i], channels === 3 ? "grey" : "sequential", channels);
      offset += channels * sides[i] ** 2;
      title.textContent = titles[i];
      canvas.setAttribute("aria-label", titles[i]);
      words.replaceChildren(...(texts[i] ? [texts[i][0], make("b", {}, texts[i][1])] : []));
    });
    verdict.dataset.good = cell.right;
    verdict.textContent = cell.right ? "✓ right" : "✗ wrong";
    legend.textContent = said.reading;
    sentence.textContent = cell.right ? said.right : said.wrong;
    table.paint(values);
  };
  return { controls: [menu.element, slider.element, turn.element], body, paint };
}

/** A label; that of nine tiles breaks into the rows of its board where it is narrow. */
function makeLabel(text) {
  const rows = /^\d{9}$/.test(text) ? [text.slice(0, 3), make("wbr"), text.slice(3, 6), make("wbr"), text.slice(6)] : [text];
  return make("span", { class: rows.length > 1 ? "eqssl-la-board" : undefined }, ...rows);
}

/** What each action says for each element; rows are chosen by their buttons. */
function makeActionTable(names, ask) {
  const title = make("div", { class: "eqssl-title" }, "What each action says about the turned input");
  const head = names.map((name, g) => make("th", { scope: "col", "data-element": g }, name));
  const first = [make("th", { scope: "col" }, "action"), make("th", { scope: "col", class: "eqssl-la-formula" }, "formula")];
  const body = make("tbody");
  const table = make(
    "table",
    {},
    make("caption", { class: "eqssl-spoken" }, "The label that each action predicts for each element, and whether it is right"),
    make("thead", {}, make("tr", {}, ...first, ...head, make("th", { scope: "col" }, "right"))),
    body,
  );
  const note = make("p", {});
  const orbit = make("p", { class: "eqssl-note" });
  let shown = "";
  let rows = [];
  const build = (actions) => {
    rows = actions.map(({ name, formula, words }) => {
      const button = make("button", { type: "button", onclick: () => ask({ action: name }) }, name);
      const cells = names.map(() => make("td", { class: "eqssl-digits" }));
      const count = make("td", { class: "eqssl-digits" });
      const law = make("td", { class: "eqssl-la-formula" }, formula);
      const row = make("tr", { "data-action": name }, make("th", { scope: "row" }, button), law, ...cells, count);
      return { name, formula, words, button, cells, count, row };
    });
    body.replaceChildren(...rows.map(({ row }) => row));
  };
  // Where it is too wide it scrolls, also by keyboard.
  const scroll = { class: "eqssl-la-scroll", tabindex: 0, role: "group", "aria-label": "Table of actions" };
  const element = make("div", { class: "eqssl-la-actions" }, title, make("div", scroll, table), note, orbit);
  const paint = ({ state, actions, orbit: size, label }) => {
    if (shown !== state.task) build(actions);
    shown = state.task;
    head.forEach((cell, g) => (cell.dataset.here = g === state.element));
    rows.forEach(({ name, formula, words, button, cells, count, row }, i) => {
      const chosen = name === state.action;
      button.setAttribute("aria-pressed", chosen);
      row.dataset.here = chosen;
      actions[i].cells.forEach((cell, g) => {
        cells[g].dataset.good = cell.right;
        cells[g].dataset.here = g === state.element;
        const mark = make("b", { title: cell.right ? "right" : "wrong" }, cell.right ? "✓" : "✗");
        cells[g].replaceChildren(makeLabel(cell.label), mark);
      });
      count.textContent = `${actions[i].cells.filter((cell) => cell.right).length} of ${cells.length}`;
      if (chosen) note.replaceChildren(make("b", {}, `${name}: `), `${formula}. ${words}`);
    });
    orbit.textContent = `Under the ${state.action} action the orbit of label ${label} has ${size} ${size > 1 ? "labels" : "label"}.`;
  };
  return { element, paint };
}

const render = ({ model, el }) =>
  explore({ model, el, name: "Label action explorer", className: "eqssl-la", build: buildLabelAction });

export default { render };
