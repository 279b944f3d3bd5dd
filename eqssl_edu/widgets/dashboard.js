// LiveTraining: two charts that grow, a legend with the present numbers, a table of readouts, progress, Stop and Resume.

const CHART = { width: 480, height: 270, left: 52, right: 14, top: 16, bottom: 42 };
// A curve is told by its colour, by its dashes and by the shape at its end.
const DASHES = ["", "8 4", "2 3", "10 3 2 3"];
const SHAPES = [
  "M4.5,0A4.5,4.5 0 1 1 -4.5,0A4.5,4.5 0 1 1 4.5,0Z",
  "M-4,-4H4V4H-4Z",
  "M0,-5.5L5,4H-5Z",
  "M0,-5.5L5.5,0L0,5.5L-5.5,0Z",
];
const SECONDS_BETWEEN_WORDS = 5; // for a screen reader
const UNANSWERED_AFTER = 1500; // ms
const STATUS = { running: "training", finished: "finished", stopped: "stopped", failed: "failed" };

const style = (i) => ({ class: `eqssl-live-line-${i % 8}`, "stroke-dasharray": DASHES[i % 4] });
const shape = (i) => SHAPES[(i + Math.floor(i / 4)) % 4]; // the fifth has the dashes of the first, not its shape

/** The distance of about `count` round numbers between low and high. */
function tickStep(low, high, count = 5) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= rough);
}

/** Round numbers between low and high. */
function ticks(low, high) {
  const step = tickStep(low, high);
  const values = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) values.push(i * step);
  return values;
}

/** The range of the loss, to round numbers; from 0 if that costs no more than half of the height. */
function lossRange(values) {
  if (!values.length) return [0, 1];
  const low = Math.min(...values);
  const high = Math.max(...values);
  const bottom = low >= 0 && low < 0.5 * high ? 0 : low;
  const step = tickStep(bottom, high > bottom ? high : bottom + (Math.abs(bottom) || 1));
  return [Math.floor(bottom / step) * step, (Math.floor(high / step) + 1) * step];
}

/** One chart; draw(curves, range, label, spoken) with curves = [[[step, value], ...], ...]. */
function makeChart({ steps, guides = [] }) {
  const { width, height, left, right, top, bottom } = CHART;
  const x = (step) => left + (step / steps) * (width - left - right);
  const svg = makeSvg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", class: "eqssl-live-chart" });
  const axes = makeSvg("g", { class: "eqssl-live-axes" });
  const lines = makeSvg("g");
  const words = makeSvg("g", { class: "eqssl-live-guides" });
  svg.append(axes, lines, words);

  const draw = (curves, [low, high], label, spoken) => {
    const y = (value) => height - bottom - ((value - low) / (high - low)) * (height - top - bottom);
    const text = (content, attributes) => makeSvg("text", attributes, content);
    const rows = ticks(low, high);
    const digits = rows.length > 1 ? Math.max(0, -Math.floor(Math.log10(rows[1] - rows[0]) + 1e-9)) : 0;
    axes.replaceChildren(
      ...rows.flatMap((value) => [
        makeSvg("line", { x1: left, x2: width - right, y1: y(value), y2: y(value) }),
        text(value.toFixed(digits), { x: left - 7, y: y(value) + 4, "text-anchor": "end" }),
      ]),
      ...ticks(0, steps)
        .filter(Number.isInteger)
        .map((value) => text(String(value), { x: x(value), y: height - bottom + 17, "text-anchor": "middle" })),
      text("step", { x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle", class: "eqssl-live-name" }),
      text(label, {
        transform: `translate(13 ${(top + height - bottom) / 2}) rotate(-90)`,
        "text-anchor": "middle",
        class: "eqssl-live-name",
      }),
    );
    lines.replaceChildren(
      ...curves.flatMap((points, i) => {
        if (!points.length) return [];
        const path = points.map(([step, value]) => `${x(step).toFixed(1)},${y(value).toFixed(1)}`).join("L");
        const [step, value] = points[points.length - 1];
        return [
          makeSvg("path", { ...style(i), d: `M${path}`, fill: "none", "data-run": i, "data-points": points.length }),
          makeSvg("path", { ...style(i), d: shape(i), transform: `translate(${x(step)} ${y(value)})`, "stroke-dasharray": "" }),
        ];
      }),
    );
    // On the right, because curves come from the left; above its line where no accuracy can be.
    words.replaceChildren(
      ...guides.flatMap(({ value, label }) => [
        makeSvg("line", { x1: left, x2: width - right, y1: y(value), y2: y(value), "data-value": value }),
        text(label, { x: width - right - 4, y: y(value) + (value > 99 ? -6 : 16), "text-anchor": "end" }),
      ]),
    );
    svg.setAttribute("aria-label", spoken);
  };
  return { svg, draw };
}

const TRAIL = { width: 200, height: 46, left: 46, edge: 7 };

/** A small curve of one readout of all runs; draw(trails, names) with trails = [[[step, value], ...], ...]. */
function makeTrail(name, steps) {
  const { width, height, left, edge } = TRAIL;
  const svg = makeSvg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", class: "eqssl-live-trail" });
  const draw = (trails, names) => {
    const values = trails.flat().map(([, value]) => value);
    const low = Math.min(...values);
    const high = Math.max(...values);
    const x = (step) => left + (step / steps) * (width - left - edge);
    const y = (value) => (high > low ? height - edge - ((value - low) / (high - low)) * (height - 2 * edge) : height / 2);
    const levels = values.length ? (high > low ? [low, high] : [low]) : [];
    svg.replaceChildren(
      ...levels.flatMap((value) => [
        makeSvg("line", { x1: left, x2: width - edge, y1: y(value), y2: y(value) }),
        makeSvg("text", { x: left - 4, y: y(value) + 4, "text-anchor": "end" }, String(Number(value.toPrecision(3)))),
      ]),
      ...trails.flatMap((points, i) => {
        if (!points.length) return [];
        const [step, value] = points[points.length - 1];
        const path = points.map((point) => `${x(point[0]).toFixed(1)},${y(point[1]).toFixed(1)}`).join("L");
        const place = `translate(${x(step)} ${y(value)}) scale(0.7)`;
        return [
          makeSvg("path", { ...style(i), d: `M${path}`, fill: "none", "data-points": points.length }),
          makeSvg("path", { ...style(i), d: shape(i), transform: place, "stroke-dasharray": "" }),
        ];
      }),
    );
    const words = trails.flatMap((points, i) => {
      if (!points.length) return [];
      const [first, last] = [points[0], points[points.length - 1]].map((point) => Number(point[1].toPrecision(3)));
      return [`${names[i]} from ${first} to ${last}`];
    });
    svg.setAttribute("aria-label", `${name} against step: ${words.join(", ") || "no value yet"}`);
  };
  return { svg, draw };
}

/** The readouts: one row each, with a small curve and the last number of every run; empty before the first. */
function makeReadouts({ runs }, steps, swatch) {
  const names = runs.map((run) => run.name);
  const head = (text) => make("th", { scope: "col" }, text);
  const caption = make("caption");
  const body = make("tbody");
  const runHeads = runs.map((run, i) => make("th", { scope: "col" }, swatch(i), run.name));
  const heads = make("thead", {}, make("tr", {}, head("readout"), head("against step"), ...runHeads));
  const table = make("table", { class: "eqssl-live-readouts" }, caption, heads, body);
  const element = make("div", { class: "eqssl-live-scroll", hidden: true }, table);
  const rows = new Map(); // name of a readout -> its small curve and its numbers
  const addRow = (name) => {
    const curve = makeTrail(name, steps);
    const numbers = runs.map(() => make("td", { class: "eqssl-live-number" }));
    body.append(make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, curve.svg), ...numbers));
    rows.set(name, { curve, numbers });
  };
  const draw = (measured) => {
    element.hidden = !measured.names.length;
    caption.textContent = `Readouts, taken at step ${measured.step}`;
    measured.names.forEach((name, i) => {
      if (!rows.has(name)) addRow(name);
      const { curve, numbers } = rows.get(name);
      curve.draw(measured.trails[i], names);
      numbers.forEach((cell, j) => (cell.textContent = measured.last[i][j]));
    });
  };
  return { element, draw };
}

function render({ model, el, signal }) {
  const facts = model.get("facts");
  const steps = Math.max(...facts.runs.map((run) => run.total));
  const total = facts.runs.reduce((sum, run) => sum + run.total, 0);
  const loss = makeChart({ steps });
  const accuracy = makeChart({ steps, guides: facts.guides });

  const swatch = (i) =>
    makeSvg(
      "svg",
      { viewBox: "0 0 44 14", width: 44, height: 14, "aria-hidden": "true" },
      makeSvg("path", { ...style(i), d: "M1,7H43", fill: "none" }),
      makeSvg("path", { ...style(i), d: shape(i), transform: "translate(22 7)", "stroke-dasharray": "" }),
    );
  const readouts = makeReadouts(facts, steps, swatch);
  const numbers = facts.runs.map(() => make("span", { class: "eqssl-live-numbers" }));
  const legend = make(
    "ul",
    { class: "eqssl-live-legend" },
    ...facts.runs.map((run, i) => make("li", {}, swatch(i), make("b", {}, run.name), numbers[i])),
  );
  const badge = make("span", { class: "eqssl-live-status" });
  const bar = make("progress", { max: total, value: 0, "aria-label": "training progress" });
  const pace = make("span", { class: "eqssl-live-pace" });
  const hint = make("div", { class: "eqssl-waiting" });
  const trace = make("pre", { class: "eqssl-live-trace" });
  const message = make("div");
  const details = make("details", {}, make("summary", {}, "Where it happened"), trace);
  const alert = make("div", { class: "eqssl-error", role: "alert", hidden: true }, message, details);
  const spoken = make("div", { class: "eqssl-spoken", role: "status", "aria-live": "polite" });

  let answer = 0; // timer: the kernel has not said yet that it stopped
  const press = (what) => {
    model.send(what);
    clearTimeout(answer);
    answer = setTimeout(() => {
      hint.textContent = "The kernel has not answered yet: a running cell may keep it busy. Interrupting the kernel stops the training too.";
    }, UNANSWERED_AFTER);
  };
  const button = make("button", { class: "eqssl-live-button", onclick: () => press(button.dataset.action) });

  let said = ""; // the status that a screen reader heard last
  let saidAt = -Infinity;
  const paint = () => {
    const values = model.get("values");
    const { status } = values;
    const done = values.runs.reduce((sum, run) => sum + run.step, 0);
    const curves = values.runs.map((run) => run.points);
    const rates = curves.map((points) => points.filter((point) => point[2] !== null).map(([step, , rate]) => [step, rate]));
    const guesses = facts.guides.length > 0 || rates.some((points) => points.length);
    accuracy.svg.parentElement.hidden = !guesses;
    accuracy.draw(rates, [0, 113], "accuracy (%)", `Accuracy in percent against step. ${model.get("readout")}`);
    // What has an accuracy is a cross entropy. Other losses have no unit.
    loss.draw(
      curves.map((points) => points.map(([step, value]) => [step, value])),
      lossRange(curves.flat().map(([, value]) => value)),
      guesses ? "loss (nats)" : "loss",
      `Loss${guesses ? " in nats" : ""} against step. ${model.get("readout")}`,
    );
    curves.forEach((points, i) => {
      const [, value, rate] = points[points.length - 1] ?? [];
      const parts = [value !== undefined && `loss ${value.toFixed(3)}`, rate != null && `accuracy ${rate.toFixed(1)} %`];
      numbers[i].textContent = parts.filter(Boolean).join(", ");
    });
    badge.textContent = STATUS[status];
    root.dataset.status = badge.dataset.status = status;
    bar.value = done;
    pace.textContent = [
      `step ${Math.max(...values.runs.map((run) => run.step))} of ${steps}`,
      `${values.steps_per_second.toFixed(values.steps_per_second < 10 ? 1 : 0)} steps/s`,
      `${values.seconds.toFixed(1)} s`,
      facts.device,
    ].join(" · ");
    button.dataset.action = status === "stopped" ? "resume" : "stop";
    button.textContent = status === "stopped" ? "Resume" : "Stop";
    button.disabled = status === "finished" || status === "failed";
    alert.hidden = !values.error;
    if (message.textContent !== values.error) message.textContent = values.error;
    trace.textContent = values.trace;
    if (status !== said) {
      clearTimeout(answer);
      hint.textContent = "";
    }
    if (status !== said || performance.now() - saidAt > 1000 * SECONDS_BETWEEN_WORDS) {
      said = status;
      saidAt = performance.now();
      spoken.textContent = model.get("readout");
    }
  };

  const paintReadouts = () => readouts.draw(model.get("measured"));

  const root = make(
    "section",
    { class: "eqssl eqssl-live", "aria-label": facts.title },
    make("div", { class: "eqssl-title" }, facts.title, badge),
    legend,
    make("div", { class: "eqssl-live-charts" }, make("figure", {}, loss.svg), make("figure", {}, accuracy.svg)),
    readouts.element,
    make("div", { class: "eqssl-live-foot" }, button, bar, pace),
    hint,
    alert,
    spoken,
  );
  el.append(root);
  paint();
  paintReadouts();

  let frame = 0;
  const schedule = () => {
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      paint();
    });
  };
  model.on("change:values", schedule);
  model.on("change:measured", paintReadouts);
  signal.addEventListener("abort", () => {
    model.off("change:values", schedule);
    model.off("change:measured", paintReadouts);
    cancelAnimationFrame(frame);
    clearTimeout(answer);
  });
}

export default { render };
