// LabelActionExplorer: an image as a pretext task, turned, and what each action says of its label.

const WORDS = {
  RotationPuzzle: {
    input: "The input: turned",
    undone: "Turned back by the label",
    right: "The picture is upright again.",
    wrong: "The picture is not upright.",
  },
  LocationPuzzle: {
    input: "The input: two patches",
    undone: "Laid there by the label",
    right: "The patch fits its place.",
    wrong: "The patch does not fit there.",
  },
  JigsawPuzzle: {
    input: "The input: tiles moved",
    undone: "Put back by the label",
    right: "The picture is whole.",
    wrong: "The tiles do not fit.",
    reading: "Digit p says where the tile at place p went; places are counted row by row from 0.",
  },
};

const TURNED = 2; // the picture that the hand turns

function buildLabelAction({ facts, hand, ask }) {
  const { names, tasks, rotations } = facts;
  const choices = tasks.map((name) => [name, name]);
  // A new task begins with a label and an action of its own, which the kernel chooses.
  const task = makeMenu("Task", choices, (name) => ask({ task: name, label: undefined, action: undefined }));
  const label = makeRange("Label", { max: 1, onMove: (value) => ask({ label: value }), text: counted });
  const { set } = label;
  label.set = (value, resting, { size }) => {
    label.slider.max = size - 1;
    set(value, resting);
  };
  const elements = names.map((name, g) => [g, name, `turn by ${name}`]);
  const element = makeSwitch("Turn it by", elements, (g) => ask({ element: g }));
  const [verdict, sentence] = [make("span.eqssl-verdict"), make("span")];
  const move = (g) => ask({ element: g });
  const pictures = [[], [], [], [make(".eqssl-la-outcome", verdict, sentence)]].map((below, i) => {
    const [canvas, head, words] = [make("canvas", { role: "img" }), make(".eqssl-title"), make("p")];
    const stage = i === TURNED ? makeElementHandle(canvas, rotations, () => hand.element, move) : canvas;
    return Object.assign(make("figure", head, stage, words, ...below), { canvas, stage, head, words });
  });
  const table = makeActionTable(names, ask);
  const paint = (values, resting) => {
    const { state, actions, sides, channels } = values;
    pictures[TURNED].stage.set(state.element, resting);
    const cell = actions.find(({ name }) => name === state.action).cells[state.element];
    const said = WORDS[values.kind];
    const titles = ["The image", said.input, `Turned by ${names[state.element]}`, said.undone];
    const truth = values.truth.join(" or ") || "none";
    const texts = [[], ["label ", values.label], ["label read off it: ", truth]];
    texts.push([`${state.action} says `, cell.label]);
    const bytes = asBytes(values.pixels);
    let offset = 0;
    for (const [i, { canvas, head, words }] of pictures.entries()) {
      paintPicture(canvas, bytes, offset, sides[i], "sequential", channels);
      offset += channels * sides[i] ** 2;
      head.textContent = canvas.ariaLabel = titles[i];
      const [before, what] = texts[i];
      if (what) words.replaceChildren(before, make("b", what));
    }
    verdict.dataset.good = cell.right;
    verdict.textContent = cell.right ? "✓ right" : "✗ wrong";
    sentence.textContent = cell.right ? said.right : said.wrong;
    table.paint(values);
  };
  const body = make("div", make(".eqssl-body.eqssl-la-pictures", ...pictures), table);
  return { controls: { task, label, element }, body, paint };
}

/** A label; that of nine tiles breaks into the rows of its board where it is narrow. */
function makeLabel(text) {
  if (!/^\d{9}$/.test(text)) return make("span", text);
  const [first, second, third] = [0, 3, 6].map((start) => text.slice(start, start + 3));
  return make("span.eqssl-la-board", first, make("wbr"), second, make("wbr"), third);
}

/** What each action says for each element; rows are chosen by their buttons. */
function makeActionTable(names, ask) {
  const head = (text, name = "") => make(`th${name}`, { scope: "col" }, text);
  const heads = names.map((name) => head(name));
  const first = [head("action"), head("formula", ".eqssl-la-formula")];
  const body = make("tbody");
  const about = "The label that each action predicts for each element, and whether it is right";
  const caption = make("caption.eqssl-spoken", about);
  const table = make("table", caption, make("thead", make("tr", ...first, ...heads, head("right"))), body);
  const [note, orbit] = [make("p"), make("p.eqssl-note")];
  let shown = "";
  let rows = [];
  const makeRow = ({ name, formula }) => {
    const button = makeButton(name, () => ask({ action: name }));
    const own = names.map(() => make("td.eqssl-digits"));
    const count = make("td.eqssl-digits");
    const start = [make("th", { scope: "row" }, button), make("td.eqssl-la-formula", formula)];
    const row = make("tr", { "data-action": name }, ...start, ...own, count);
    return Object.assign(row, { button, own, count });
  };
  const paintRow = (row, action, state) => {
    const chosen = action.name === state.action;
    row.button.ariaPressed = chosen;
    row.dataset.here = chosen;
    for (const [g, { label, right }] of action.cells.entries()) {
      Object.assign(row.own[g].dataset, { good: right, here: g === state.element });
      const mark = make("b", { title: right ? "right" : "wrong" }, right ? "✓" : "✗");
      row.own[g].replaceChildren(makeLabel(label), mark);
    }
    row.count.textContent = `${action.cells.filter((cell) => cell.right).length} of ${names.length}`;
    if (chosen) note.replaceChildren(make("b", `${action.name}: `), `${action.formula}. ${action.words}`);
  };
  const paint = ({ state, kind, actions, orbit: size, label }) => {
    if (shown !== state.task) rows = actions.map(makeRow);
    if (shown !== state.task) body.replaceChildren(...rows);
    shown = state.task;
    for (const [g, cell] of heads.entries()) cell.dataset.here = g === state.element;
    for (const [i, row] of rows.entries()) paintRow(row, actions[i], state);
    const labels = `${size} ${size > 1 ? "labels" : "label"}`;
    const words = `Under the ${state.action} action the orbit of label ${label} has ${labels}.`;
    orbit.textContent = `${words} ${WORDS[kind].reading ?? ""}`;
  };
  const title = make(".eqssl-title", "What each action says about the turned input");
  // Where it is too wide it scrolls, also by keyboard.
  const place = { tabindex: 0, role: "group", "aria-label": "Table of actions" };
  const parts = [title, make(".eqssl-scroll", place, table), note, orbit];
  return Object.assign(make(".eqssl-la-actions", ...parts), { paint });
}

const render = (view) => explore(view, "Label action explorer", "eqssl-la", buildLabelAction);

export default { render };
