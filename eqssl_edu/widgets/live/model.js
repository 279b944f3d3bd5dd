// A page that computes. Stands behind the explorer's own module and runs it on a model that answers each message as
// the kernel does: the token, the traits, the error, and slow work in slices.

const ERROR = { name: "ValueError" }; // as Python calls what is not allowed

/** What a page says is not allowed, in the words of the kernel. */
function refuse(text) {
  throw Object.assign(new Error(text), ERROR);
}

/**
 * makeKernel(data, engines) gives { check(changes, buffers), show(state), refine(state) }: the changes of the state,
 * checked and completed; the traits of a state; the traits after a slice of slow work.
 */
function makeModel(kernel, { facts, first }) {
  let state = first;
  const traits = { facts, error: "", answered: "", unfinished: false };
  const listeners = []; // [event, function] pairs
  const answer = ({ changes, refine }, buffers) => {
    if (refine) return kernel.refine(state);
    const next = { ...state, ...kernel.check(changes, state, buffers) };
    const shown = kernel.show(next);
    state = next;
    return shown;
  };
  Object.assign(traits, kernel.show(state));
  return {
    get: (name) => traits[name],
    on: (...pair) => listeners.push(pair),
    off: () => {}, // a page closes as a whole
    send: (content, _, buffers = []) => {
      try {
        Object.assign(traits, answer(content, buffers), { error: "" });
      } catch (problem) {
        Object.assign(traits, { error: `${problem.name}: ${problem.message}`, unfinished: false });
      }
      traits.answered = content.token;
      queueMicrotask(() => {
        for (const [event, act] of listeners) if (event.slice("change:".length) in traits) act();
      });
    },
  };
}

{
  const data = await unpackPage();
  const useWasm = new URLSearchParams(location.search).get("engine") !== "js";
  const engines = await Promise.all(data.plans.map((plan) => makeEngine(plan, useWasm)));
  const el = document.getElementById("explorer");
  el.dataset.engine = engines.every(({ wasm }) => wasm) ? "WebAssembly" : "JavaScript";
  const model = makeModel(makeKernel(data, engines), data);
  Object.assign(el, { model, engines }); // for who drives a page from outside
  render({ model, el });
}
