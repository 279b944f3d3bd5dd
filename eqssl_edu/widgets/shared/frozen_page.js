// A page without a kernel. Stands behind the explorer's own module, and runs it on a model that answers each
// message from a table of states computed beforehand.
{
  const table = await unpackPage();
  /** How far two values of an entry are apart, from 0 to 1; numbers by their distance. */
  const apart = (a, b) => {
    const numbers = typeof a === "number" && typeof b === "number";
    return numbers
      ? Math.abs(a - b) / (1 + Math.abs(a - b))
      : Number(JSON.stringify(a) !== JSON.stringify(b));
  };
  const nearest = (wish, changes) => {
    const weight = (key) => (key in changes ? 1000 : 1); // the hand has changed it, or left it alone
    const distances = table.states.map(({ state: held }) =>
      Object.keys(held).reduce((sum, key) => sum + weight(key) * apart(held[key], wish[key]), 0),
    );
    return table.states[distances.indexOf(Math.min(...distances))];
  };
  let state = table.first;
  const traits = { facts: table.facts, error: "", answered: "", unfinished: false };
  const listeners = []; // [event, function] pairs
  const show = (found, changes) => {
    state = { ...state, ...found.state };
    for (const key of table.free) if (key in changes) state[key] = changes[key];
    const { values } = found.traits;
    Object.assign(traits, found.traits, { values: { ...values, state: { ...values.state, ...state } } });
  };
  const model = {
    get: (name) => traits[name],
    on: (...pair) => listeners.push(pair),
    off: () => {}, // a page closes as a whole
    send: (content) => {
      const changes = content.changes ?? {};
      show(nearest({ ...state, ...changes }, changes), changes);
      traits.answered = content.token;
      queueMicrotask(() => {
        for (const [event, act] of listeners) if (event.slice("change:".length) in traits) act();
      });
    },
  };
  show(nearest(state, {}), {});
  render({ model, el: document.getElementById("explorer") });
}
