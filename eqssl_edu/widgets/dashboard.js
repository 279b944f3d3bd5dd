// LiveTraining: charts that grow, a legend with the present numbers, readouts, progress, Stop and Resume.

const CHART = { left: 52, right: 14, top: 16, bottom: 42 }; // margins
const TRAIL = { left: 44, right: 6, top: 7, bottom: 7 };
const SECONDS_BETWEEN_WORDS = 5; // for a screen reader
const UNANSWERED_AFTER = 1500; // ms
const UNANSWERED =
  "The kernel has not answered yet: a running cell may keep it busy. Interrupting the kernel stops the training too.";
const STATUS = { running: "training", finished: "finished", stopped: "stopped", failed: "failed" };

/** The range of the loss, to round numbers; from 0 if that costs no more than half of the height. */
function lossRange(values) {
  if (!values.length) return [0, 1];
  const low = Math.min(...values);
  const high = Math.max(...values);
  const bottom = low >= 0 && low < 0.5 * high ? 0 : low;
  const step = tickStep(bottom, high > bottom ? high : bottom + (Math.abs(bottom) || 1));
  return [Math.floor(bottom / step) * step, (Math.floor(high / step) + 1) * step];
}

/**
 * A chart of all runs against the step, as large as its place; draw(curves, up, spoken, guides) with curves =
 * [[[step, value], ...]], each with a mark at its last point, and up as in makeAxes. Guides are lines at values that
 * mean something.
 */
function makeChart(margins, across, size = 1) {
  const svg = makeSvg("svg.eqssl-chart", { role: "img" });
  let drawn = null;
  svg.draw = (...picture) => {
    drawn = picture;
    const { width, height } = svg.getBoundingClientRect();
    if (width) paint({ width, height, ...margins }, ...picture);
  };
  // It has no size before it is on the page, and another one when the window has.
  new ResizeObserver(() => drawn && svg.draw(...drawn)).observe(svg);
  const paint = (frame, curves, up, spoken, guides = []) => {
    const end = frame.width - frame.right;
    setAttributes(svg, { viewBox: `0 0 ${frame.width} ${frame.height}` });
    const place = makeAxes(frame, across, up);
    const lines = curves.flatMap((points, i) => {
      if (!points.length) return [];
      const [x, y] = [place.x(points.at(-1)[0]), place.y(points.at(-1)[1])];
      return [makeLine(points, place, i), makeMark(i, `translate(${x} ${y}) scale(${size})`)];
    });
    // On the right, because curves come from the left; above its line where no accuracy can be.
    const words = guides.flatMap(({ value, label }) => {
      const y = place.y(value);
      const at = { x: end - 4, y: y + (value > 99 ? -6 : 16), "text-anchor": "end" };
      const line = makeSvg("line", { x1: frame.left, x2: end, y1: y, y2: y, "data-value": value });
      return [line, makeSvg("text", at, label)];
    });
    svg.replaceChildren(...place.elements, ...lines, makeSvg("g.eqssl-live-guides", ...words));
    svg.ariaLabel = spoken;
  };
  return svg;
}

/** Both charts beside the readouts, and the legend with the present numbers. */
function makeCharts({ runs, guides }, steps, readouts) {
  const whole = ticks(0, steps).filter(Number.isInteger);
  const across = { low: 0, high: steps, ticks: whole, text: String, name: "step" };
  const [loss, accuracy] = [makeChart(CHART, across), makeChart(CHART, across)];
  const pictures = [loss, accuracy].map((chart) => make("figure", chart));
  const numbers = runs.map(() => make("span.eqssl-live-numbers"));
  const legend = makeLegend(runs.map((run, i) => [makeKey(i), make("b", run.name), numbers[i]]));
  const up = (low, high, name) => {
    const rows = ticks(low, high);
    const digits = rows.length > 1 ? Math.max(0, -Math.floor(Math.log10(rows[1] - rows[0]) + 1e-9)) : 0;
    return { low, high, ticks: rows, text: (value) => value.toFixed(digits), name };
  };
  const paint = (values, readout) => {
    const curves = values.runs.map((run) => run.points);
    const rated = curves.map((points) => points.filter(([, , rate]) => rate !== null));
    const guesses = guides.length > 0 || rated.some((points) => points.length);
    pictures[1].hidden = !guesses;
    const rates = rated.map((points) => points.map(([step, , rate]) => [step, rate]));
    const spoken = `Accuracy in percent against step. ${readout}`;
    accuracy.draw(rates, up(0, 113, "accuracy (%)"), spoken, guides);
    // What has an accuracy is a cross entropy. Other losses have no unit.
    const [name, unit] = guesses ? ["loss (nats)", " in nats"] : ["loss", ""];
    const range = lossRange(curves.flat().map(([, value]) => value));
    loss.draw(curves, up(...range, name), `Loss${unit} against step. ${readout}`);
    for (const [i, points] of curves.entries()) {
      const [, value, rate = null] = points.at(-1) ?? [];
      const now = value === undefined ? "" : `loss ${value.toFixed(3)}`;
      numbers[i].textContent = rate === null ? now : `${now}, accuracy ${rate.toFixed(1)} %`;
    }
  };
  const body = make(".eqssl-live-body", make(".eqssl-live-charts", ...pictures), readouts);
  return Object.assign(make("div", legend, body), { paint });
}

/** A small curve of one readout of all runs; paint(trails, names) with trails = [[[step, value], ...]]. */
function makeTrail(name, steps) {
  const chart = makeChart(TRAIL, { low: 0, high: steps, ticks: [] }, 0.7);
  const text = (value) => String(Number(value.toPrecision(3)));
  chart.paint = (trails, names) => {
    const values = trails.flat().map(([, value]) => value);
    const ends = values.length ? [...new Set([Math.min(...values), Math.max(...values)])] : [];
    const [low, high] = ends.length > 1 ? ends : [ends[0] - 1, ends[0] + 1]; // one value: in the middle
    const words = trails.flatMap((points, i) => {
      if (!points.length) return [];
      return [`${names[i]} from ${text(points[0][1])} to ${text(points.at(-1)[1])}`];
    });
    const spoken = `${name} against step: ${words.join(", ") || "no value yet"}`;
    chart.draw(trails, { low, high, ticks: ends, text }, spoken);
  };
  return chart;
}

/** The readouts: a row each, with a small curve and the last number of every run; empty before the first. */
function makeReadouts({ runs }, steps) {
  const names = runs.map((run) => run.name);
  const head = (...content) => make("th", { scope: "col" }, ...content);
  const [caption, body] = [make("caption"), make("tbody")];
  const runHeads = names.map((name, i) => head(makeKey(i), name));
  const heads = make("thead", make("tr", head("readout"), head("against step"), ...runHeads));
  const element = make(
    ".eqssl-scroll.eqssl-live-table",
    { hidden: true },
    make("table", caption, heads, body),
  );
  const rows = new Map(); // name of a readout -> its small curve and its numbers
  const addRow = (name) => {
    const trail = makeTrail(name, steps);
    const numbers = runs.map(() => make("td.eqssl-live-number"));
    body.append(make("tr", make("th", { scope: "row" }, name), make("td", trail), ...numbers));
    rows.set(name, { trail, numbers });
  };
  element.paint = (measured) => {
    element.hidden = !measured.names.length;
    caption.textContent = `Readouts, taken at step ${measured.step}`;
    for (const [i, name] of measured.names.entries()) {
      if (!rows.has(name)) addRow(name);
      const { trail, numbers } = rows.get(name);
      trail.paint(measured.trails[i], names);
      for (const [j, cell] of numbers.entries()) cell.textContent = measured.last[i][j];
    }
  };
  return element;
}

/** Stop or Resume, how far the training is, and a hint where the kernel does not answer. */
function makeProgress(model, facts, steps, signal) {
  const total = facts.runs.reduce((sum, run) => sum + run.total, 0);
  const bar = make("progress", { max: total, value: 0, "aria-label": "training progress" });
  const pace = make("span.eqssl-live-pace");
  const hint = make(".eqssl-waiting");
  let answer = 0; // timer: the kernel has not said yet that it stopped
  const answered = () => {
    clearTimeout(answer);
    hint.textContent = "";
  };
  signal.addEventListener("abort", answered);
  const button = makeButton("Stop", () => {
    model.send(button.dataset.action);
    clearTimeout(answer);
    answer = setTimeout(() => say(hint, UNANSWERED), UNANSWERED_AFTER);
  });
  const paint = ({ runs, status, steps_per_second: speed, seconds }) => {
    bar.value = runs.reduce((sum, run) => sum + run.step, 0);
    const step = Math.max(...runs.map((run) => run.step));
    const rate = `${speed.toFixed(speed < 10 ? 1 : 0)} steps/s`;
    pace.textContent = `step ${step} of ${steps} · ${rate} · ${seconds.toFixed(1)} s · ${facts.device}`;
    button.dataset.action = status === "stopped" ? "resume" : "stop";
    button.textContent = status === "stopped" ? "Resume" : "Stop";
    button.disabled = status === "finished" || status === "failed";
  };
  return Object.assign(make("div", make(".eqssl-live-foot", button, bar, pace), hint), { paint, answered });
}

/** What became of the training, or of an earlier one of the same model; empty as a rule. */
function makeNote() {
  const element = make(".eqssl-live-note", { hidden: true });
  element.paint = ({ note }) => {
    element.hidden = !note;
    say(element, note);
  };
  return element;
}

/** What went wrong in the training, and where. */
function makeFailure() {
  const [message, trace] = [make("div"), make("pre")];
  const details = make("details", make("summary", "Where it happened"), trace);
  const element = make(".eqssl-error", { role: "alert", hidden: true }, message, details);
  element.paint = (values) => {
    element.hidden = !values.error;
    say(message, values.error);
    trace.textContent = values.trace;
  };
  return element;
}

function render({ model, el }) {
  const closing = new AbortController();
  const facts = model.get("facts");
  const steps = Math.max(...facts.runs.map((run) => run.total));
  const readouts = makeReadouts(facts, steps);
  const charts = makeCharts(facts, steps, readouts);
  const progress = makeProgress(model, facts, steps, closing.signal);
  const note = makeNote();
  const failure = makeFailure();
  const badge = make("span.eqssl-live-status");
  const spoken = make(".eqssl-spoken", { role: "status", "aria-live": "polite" });
  const root = make("section.eqssl.eqssl-live", { "aria-label": facts.title });
  root.append(make(".eqssl-title", facts.title, badge), charts, progress, note, failure, spoken);
  el.append(root);
  present(root, model);
  let said = ""; // the status that a screen reader heard last
  let saidAt = -Infinity;
  const paint = () => {
    const values = model.get("values");
    const { status } = values;
    charts.paint(values, model.get("readout"));
    progress.paint(values);
    note.paint(values);
    failure.paint(values);
    badge.textContent = STATUS[status];
    root.dataset.status = badge.dataset.status = status;
    if (status !== said) progress.answered();
    else if (performance.now() - saidAt < 1000 * SECONDS_BETWEEN_WORDS) return;
    said = status;
    saidAt = performance.now();
    spoken.textContent = model.get("readout");
  };
  const paintReadouts = () => readouts.paint(model.get("measured"));
  paint();
  paintReadouts();
  listen(model, closing.signal, ["values"], inNextFrame(paint, closing.signal));
  listen(model, closing.signal, ["measured"], paintReadouts);
  return () => closing.abort();
}

export default { render };
