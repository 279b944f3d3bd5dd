
// A page without a kernel. Stands behind the explorer's own module, and runs it on a model that answers each
// message from a table of states computed beforehand.
{
  const holder = document.getElementById("states");
  const packed = Uint8Array.from(atob(holder.textContent), (letter) => letter.charCodeAt(0));
  const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const bytes = await new Response(unpacked).arrayBuffer();
  const split = Number(holder.dataset.json);
  const table = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 0, split)), (_, value) =>
    value?.$bytes ? new DataView(bytes, split + value.$bytes[0], value.$bytes[1]) : value,
  );

  /** How far two values of an entry are apart, from 0 to 1; numbers by their distance. */
  const apart = (a, b) => {
    if (typeof a !== "number" || typeof b !== "number") return Number(JSON.stringify(a) !== JSON.stringify(b));
    return Math.abs(a - b) / (1 + Math.abs(a - b));
  };
  const CHANGED = 1000; // what the hand has changed weighs more than what it left alone
  const nearest = (wish, changes) => {
    const distance = ({ state }) =>
      Object.keys(state).reduce(
        (sum, key) => sum + (key in changes ? CHANGED : 1) * apart(state[key], wish[key]),
        0,
      );
    let [best, smallest] = [table.states[0], Infinity];
    for (const candidate of table.states) {
      const size = distance(candidate);
      if (size < smallest) [best, smallest] = [candidate, size];
    }
    return best;
  };

  let state = table.first;
  const traits = { facts: table.facts, error: "", answered: "", unfinished: false };
  const listeners = {};
  const show = (found, changes) => {
    state = { ...state, ...found.state };
    for (const key of table.free) if (key in changes) state[key] = changes[key];
    const { values } = found.traits;
    Object.assign(traits, found.traits, { values: { ...values, state: { ...values.state, ...state } } });
  };
  const model = {
    get: (name) => traits[name],
    set: (name, value) => (traits[name] = value),
    save_changes: () => {},
    on: (event, listener) => (listeners[event] ??= new Set()).add(listener),
    off: (event, listener) => listeners[event]?.delete(listener),
    send: (content) => {
      const changes = content.changes ?? {};
      show(nearest({ ...state, ...changes }, changes), changes);
      traits.answered = content.token;
      queueMicrotask(() => {
        for (const name of Object.keys(traits)) listeners[`change:${name}`]?.forEach((listener) => listener());
      });
    },
  };
  show(nearest(state, {}), {});
  render({ model, el: document.getElementById("explorer") });
}
