// What the kernel of an OrbitCorrelationExplorer computes, on a page: orbit_correlation.py says the same in Python.

const [VIEW_PIXELS, IMAGE_PIXELS] = [80, 48];
const TEMPERATURE = 0.2;

const meanOf = (numbers, of = (x) => x) => numbers.reduce((sum, x) => sum + of(x), 0) / numbers.length;
const logMeanExp = (numbers) => {
  const largest = Math.max(...numbers);
  return largest + Math.log(meanOf(numbers, (x) => Math.exp(x - largest)));
};
/** Similarities, from the orbit correlation of a pair. */
const SIMILARITIES = {
  plain: (kappa) => kappa[0],
  mean: (kappa) => meanOf(kappa),
  max: (kappa) => Math.max(...kappa),
  soft: (kappa) => TEMPERATURE * logMeanExp(kappa.map((x) => x / TEMPERATURE)),
  power2: (kappa) => meanOf(kappa, (x) => x ** 2),
  power3: (kappa) => meanOf(kappa, (x) => x ** 3),
};

/** InfoNCE over all views: those of the first kind, then their partners. */
function infoNCE(kappas, kind) {
  const count = kappas.length;
  return meanOf(
    kappas.map((row, i) => {
      const similarities = row.map((kappa) => SIMILARITIES[kind](kappa) / TEMPERATURE);
      const partner = similarities[(i + count / 2) % count];
      const others = similarities.filter((_, j) => j !== i);
      return logMeanExp(others) + Math.log(others.length) - partner;
    }),
  );
}

/** A number near 0, by its order of magnitude. */
const magnitude = (value) => realMinus(value.toExponential(0).replace("e+0", ""));

/** Rounded to so many decimals. */
const rounded = (value, digits = 6) => Number(value.toFixed(digits));

/** A round "low", "high" and "step" of a radial axis that holds all values. */
function radialScale(values) {
  const [lowest, highest] = extremesOf(values.map((value) => rounded(value)));
  const span = Math.max(highest - lowest, 0.01);
  const power = 10 ** Math.floor(Math.log10(span / 2));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => span / each <= 4);
  const low = Math.floor(rounded((lowest - 0.15 * span) / step)) * step;
  const high = Math.ceil(rounded(highest / step)) * step;
  return { low: rounded(low), high: rounded(high), step: rounded(step) };
}

function makeKernel(data, [engine]) {
  const { facts, group, tolerance, view_texts: texts } = data;
  const { rotations, order, shift, product, inverse } = group;
  const pictures = (words) => {
    const numbers = new Float32Array(unpackWords(words));
    const size = numbers.length / facts.count;
    return Array.from({ length: facts.count }, (_, i) => numbers.subarray(i * size, (i + 1) * size));
  };
  const [images, ...views] = [data.images, ...data.views].map(pictures);
  const { side } = data;

  /** The regular features of a picture, of length 1 over all of them. */
  const encode = (image) => {
    const features = Float64Array.from(engine.run(image, ["features"])[0]);
    const length = Math.sqrt(features.reduce((sum, x) => sum + x ** 2, 0)) || 1;
    return features.map((x) => x / length);
  };
  /** kappa[g], the inner products with the turned copies. */
  const correlate = (z, w) =>
    shift.map((places) => {
      let sum = 0;
      for (let start = 0; start < z.length; start += order) {
        for (let h = 0; h < order; h++) sum += z[start + h] * w[start + places[h]];
      }
      return sum;
    });
  /** The correlations of some features with all, in their rows and, seen from the others, in their columns. */
  const fill = (kappas, features, rows) => {
    for (const i of rows) {
      for (const [j, other] of features.entries()) {
        const kappa = correlate(features[i], other);
        kappas[i][j] = kappa;
        if (j !== i) kappas[j][i] = inverse.map((g) => kappa[g]);
      }
    }
    return kappas;
  };
  const upright = views.flat().map(encode);
  const all = upright.map((_, i) => i);
  const kappasBefore = fill(
    all.map(() => []),
    upright,
    all,
  );
  const lossesOf = (kappas) => facts.kinds.map((kind) => infoNCE(kappas, kind));
  const lossesBefore = lossesOf(kappasBefore);

  const transform = (image, g) =>
    turnPlanes(g >= rotations ? flipPlanes(image, side) : image, side, (360 * (g % rotations)) / rotations);

  const compare = (now, turned) =>
    facts.kinds.map((kind, i) => {
      const change = now[i] - lossesBefore[i];
      const moved = Math.abs(change) > tolerance;
      const text = moved ? realMinus(`${change > 0 ? "+" : ""}${change.toFixed(6)}`) : magnitude(change);
      const status = moved ? "moved" : "still";
      return {
        kind,
        before: lossesBefore[i],
        now: now[i],
        change,
        status: turned ? status : "upright",
        text,
      };
    });

  const noteOn = (deviation, turned) => {
    if (!turned) return "Turn a view: the bars change places.";
    if (deviation > data.deviation) {
      return `The turn changed the bars by up to ${Number(deviation.toPrecision(2))}: this encoder is not equivariant.`;
    }
    return `The turn moved the bars and changed none (up to rounding, ${magnitude(deviation)}).`;
  };

  const compute = (state) => {
    const { image, first, second } = state;
    const elements = [first, second];
    const shown = views.map((view, i) => transform(view[image], elements[i]));
    const features = [...upright];
    const rows = [image, facts.count + image];
    for (const [i, g] of elements.entries()) if (g) features[rows[i]] = encode(shown[i]);
    const moved = rows.filter((_, i) => elements[i]);
    const kappas = fill(
      kappasBefore.map((row) => [...row]),
      features,
      moved,
    );
    const [kappa, before] = [kappas[rows[0]][rows[1]], kappasBefore[rows[0]][rows[1]]];
    const origins = kappa.map((_, g) => product[product[inverse[first]][g]][second]);
    const deviation = Math.max(...kappa.map((value, g) => Math.abs(value - before[origins[g]])));
    const screens = [images[image], ...shown].map((each, i) =>
      forScreen(each, side, i ? VIEW_PIXELS : IMAGE_PIXELS),
    );
    const whole = [images[image], ...shown].map(extremesOf);
    return {
      state: { ...state },
      pictures: screens.map(([, size, channels]) => ({ channels, side: size })),
      pixels: joinBytes(screens.map(([planes], i) => toBytes(planes, ...whole[i]))),
      kappa,
      kappa_before: before,
      origins,
      deviation,
      note: noteOn(deviation, moved.length > 0),
      scale: radialScale([...before, ...kappa]),
      views: elements.map((g) => texts[g]),
      losses: compare(lossesOf(kappas), moved.length > 0),
    };
  };

  const show = (state) => {
    const values = compute(state);
    const place = `Image ${state.image + 1} of ${facts.count}. `;
    if (values.losses[0].status === "upright") {
      return { values, readout: `${place}Both views upright: no loss has moved.` };
    }
    const parts = values.losses
      .filter(({ status }) => status === "moved")
      .map(({ kind, text }) => `${kind} moved by ${text}`);
    const still = values.losses.filter(({ status }) => status === "still").map(({ kind }) => kind);
    if (still.length) parts.push(`${still.join(", ")} stood still`);
    const [one, two] = values.views;
    return { values, readout: `${place}View 1 ${one}, view 2 ${two}. Losses: ${parts.join("; ")}.` };
  };
  return { check: (changes) => changes, show };
}
