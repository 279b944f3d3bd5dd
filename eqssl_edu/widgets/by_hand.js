// ByHand: the HTML that a function of Python has drawn, below a control for each of its arguments.

/** A slider or a menu. Its own value is a place in the list of choices: neither knows other things than numbers or words. */
function makeChoice({ name, label, choices, slides }, ask) {
  const choose = (place) => ask({ [name]: choices[place] });
  const control = slides
    ? makeRange(label, { min: 0, max: choices.length - 1, onMove: choose, text: (place) => String(choices[place]) })
    : makeMenu(label, choices.map((choice, place) => [String(place), String(choice)]), choose);
  return { element: control.element, set: (value, resting) => control.set(choices.indexOf(value), resting) };
}

function buildByHand({ facts, ask }) {
  const controls = facts.controls.map((fact) => [fact.name, makeChoice(fact, ask)]);
  const body = make("div", { class: "eqssl-by-hand-picture" });
  let drawn;
  const paint = (values, resting) => {
    controls.forEach(([name, control]) => control.set(values.state[name], resting));
    if (values.html !== drawn) body.innerHTML = drawn = values.html;
  };
  return { controls: controls.map(([, control]) => control.element), body, paint };
}

const render = ({ model, el }) =>
  explore({ model, el, name: "Drawing", className: "eqssl-by-hand", build: buildByHand });

export default { render };
