// ByHand: the HTML that a function of Python has drawn, below a control for each of its arguments.

/** A slider or a menu. Its own value is a place in the list of choices, which may hold anything. */
function makeChoice({ name, label, choices, slides }, ask) {
  const choose = (place) => ask({ [name]: choices[place] });
  const texts = choices.map((choice, place) => [String(place), String(choice)]);
  const control = slides
    ? makeRange(label, { max: choices.length - 1, onMove: choose, text: (place) => String(choices[place]) })
    : makeMenu(label, texts, choose);
  const { set } = control;
  return Object.assign(control, { set: (value, resting) => set(choices.indexOf(value), resting) });
}

function buildByHand({ facts, ask }) {
  const controls = Object.fromEntries(facts.controls.map((fact) => [fact.name, makeChoice(fact, ask)]));
  const body = make(".eqssl-by-hand-picture");
  let drawn;
  const paint = ({ html }) => {
    if (html !== drawn) body.innerHTML = html;
    drawn = html;
  };
  return { controls, body, paint };
}

const render = (view) => explore(view, "Drawing", "eqssl-by-hand", buildByHand);

export default { render };
