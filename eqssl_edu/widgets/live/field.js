// What the kernel of a FieldExplorer computes, on a page: values.py and field.py say the same in Python.

const [IMAGE_SIDE, MAP_SIDE, MAP_BYTES] = [80, 32, 36_000];
const [ROWS, FEW_ROWS] = [4, 2];
const WRONG = 1e-3;
const SLICE = 30; // ms
const PATIENCE = 1000; // ms
const [LAYERS, CHANNELS] = [
  ["layer", "compare_layer"],
  ["channel", "compare_channel"],
];
const COARSE_ANGLES = 25;
const coarseness = (angle) => 2 * (angle % 45 > 0) + (angle % 15 > 0);
const CURVE_ANGLES = Array.from({ length: 73 }, (_, i) => 5 * i).sort(
  (a, b) => coarseness(a) - coarseness(b) || a - b,
);

/** A relative error as per cent, with two figures that count. */
function errorText(error) {
  if (!Number.isFinite(error)) return "no number";
  if (error === 0) return "0 %";
  const percent = 100 * error;
  const decimals = Math.max(0, 1 - Math.floor(Math.log10(percent)));
  const tiny = () => percent.toExponential(1).replace(/e-(\d)$/, "e-0$1");
  return `${decimals <= 7 ? percent.toFixed(decimals) : tiny()} %`;
}

const numberOrNull = (error) => (Number.isFinite(error) ? error : null);

/** The pictures of every source; `like` is the given image: all others get its size, channels and range. */
function makeSources({ facts, image, pictures }) {
  const given = new Float32Array(unpackWords(image));
  const { side, channels } = facts.input;
  const [low, high] = extremesOf(given);
  const own = { image: [{ image: given, text: "" }], file: [], drawing: [] };
  let drawn = 0; // how many times the drawing has changed
  const fit = (bytes) => {
    const fitted = new Float32Array(channels * side ** 2);
    for (let i = 0; i < fitted.length; i++) {
      const value = Math.fround(bytes[i % bytes.length] / 255);
      fitted[i] = low < 0 || high > 1 ? low + Math.fround(Math.fround(high - low) * value) : value;
    }
    return fitted;
  };
  const of = (source) => {
    own[source] ??= pictures[source].map(({ bytes, text }) => ({ image: fit(asBytes(bytes)), text }));
    return own[source];
  };
  const add = (source, bytes, text) => {
    const kept = source === "file" ? own.file : [];
    own[source] = [...kept, { image: fit(bytes), text }];
    drawn += source === "drawing";
    return kept.length;
  };
  return {
    of,
    add,
    drawn: () => drawn,
    counts: () => ({ file: own.file.length, drawing: own.drawing.length }),
  };
}

/** What was done to a picture of a file. */
function describeFile(name, [width, height], { side, channels }) {
  const square = Math.min(width, height);
  const cut = width === height ? "" : `the central ${square} × ${square} of `;
  const made = side === square ? "" : `, made ${side} × ${side}`;
  return `${name}: ${cut}${width} × ${height} pixels${made}${channels === 3 ? "" : ", grey"}`;
}

/** A network that is looked at: its layers, and the maps of the upright image. */
function makeNetwork({ name, layers }, engine) {
  let kept = {};
  const mapsOf = (image, layer) => engine.run(image, [layer])[0];
  const uprightOf = (image, layer) => {
    if (kept.image !== image || kept.layer !== layer)
      kept = { image, layer, maps: mapsOf(image, layer).slice() };
    return kept.maps;
  };
  /** [the maps that the angle is to turn, the maps of the turned image] */
  const observe = (layer, image, turned, { angle, mirror }) => {
    const { group, side } = layers[layer];
    const upright = uprightOf(image, layer);
    const maps = angle % 360 === 0 && !mirror ? upright : mapsOf(turned, layer);
    return [mirror ? mirrorMaps(group, upright, side) : upright, maps];
  };
  /** The first of the channels whose maps differ most along the group axis. */
  const tellingChannel = (layer, image) => {
    const { group, side, channels } = layers[layer];
    if (!group) return 0;
    const maps = mapsOf(image, layer);
    const size = side ** 2;
    const shares = Array.from({ length: channels }, (_, channel) => {
      const start = channel * group.order * size;
      let [apart, largest] = [0, 1e-12];
      for (let i = start; i < start + size; i++) {
        let mean = 0;
        for (let g = 0; g < group.order; g++) mean += finite(maps[i + g * size]) / group.order;
        for (let g = 0; g < group.order; g++) {
          const value = finite(maps[i + g * size]);
          apart += (value - mean) ** 2;
          largest = Math.max(largest, Math.abs(value));
        }
      }
      return Math.sqrt(apart / (group.order * size)) / largest;
    });
    const rows = Math.min(ROWS, channels);
    const worth = (first) =>
      shares.slice(first, first + rows).reduce((sum, share, i) => sum + share / (i + 1), 0);
    const starts = Array.from({ length: channels - rows + 1 }, (_, first) => worth(first));
    return starts.indexOf(Math.max(...starts));
  };
  return { name, layers, observe, tellingChannel };
}

const finite = (value) => (Number.isFinite(value) ? value : 0);

/** A page of channels: rows of maps across the group axis or, without one, one channel after the other. */
function makePanelValues(
  maps,
  upright,
  { channels, side: full, group, columns: labels },
  wish,
  columns,
  most,
  budget,
) {
  const order = group?.order ?? 1;
  const width = group ? order : columns;
  const wanted = Math.min(full, MAP_SIDE, Math.floor(Math.sqrt(Math.floor(budget / width))));
  const count = Math.max(1, Math.min(most, Math.floor(budget / (width * wanted ** 2))));
  const page = Math.min(channels, Math.floor((count * width) / order));
  const first = Math.min(wish, channels - page);
  const cut = (planes) =>
    planes.slice(first * order * full ** 2, (first + page) * order * full ** 2).map(finite);
  const [shown, side] = shrinkPlanes(cut(maps), full, wanted);
  const [reference] = shrinkPlanes(cut(upright), full, wanted);
  const size = side ** 2;
  const step = group ? 1 : width;
  const starts = Array.from({ length: Math.ceil(page / step) }, (_, i) => first + i * step);
  const rows = starts.map((c) => (step === 1 ? String(c) : `${c}–${Math.min(c + step, first + page) - 1}`));
  const largest = starts.map((_, row) =>
    reference
      .subarray(row * width * size, (row + 1) * width * size)
      .reduce((a, x) => Math.max(a, Math.abs(x)), 0),
  );
  const floor = 0.02 * Math.max(...largest) || 1;
  const limits = largest.map((limit) => Math.max(limit, floor));
  const low = reference.some((value) => value < 0) ? -1 : 0;
  const bytes = limits.map((limit, row) =>
    toBytes(shown.subarray(row * width * size, (row + 1) * width * size), low * limit, limit),
  );
  const panel = { rows, columns: labels, width, count: shown.length / size, side, first, page, low, limits };
  return [panel, joinBytes(bytes)];
}

/** What a network's number alone does not say. */
function remarkOn(layer, { group, order }, error, angle) {
  if (!Number.isFinite(error)) {
    const what = Number.isNaN(error) ? "NaN or infinity" : "nothing but 0 for the upright one";
    return `Layer '${layer}' gives ${what} on this image`;
  }
  return group && angle % 90 === 0 && error > WRONG && order ? `order=[${order.join(", ")}] has error 0` : "";
}

function makeKernel(data, engines) {
  const { facts, same_depth: sameDepth } = data;
  const { side, channels } = facts.input;
  const sources = makeSources(data);
  const networks = data.networks.map((network, i) => makeNetwork(network, engines[i]));
  const curves = {};

  const turnImage = (image, angle, mirror) =>
    turnPlanes(mirror ? flipPlanes(image, side) : image, side, angle);
  const imageOf = ({ source, picture }) => sources.of(source)[picture].image;

  const errorOf = (network, layer, image, turned, state) => {
    const { group, side: size } = network.layers[layer];
    const [expected, maps] = network.observe(layer, image, turned, state);
    return [rotationError(maps, expected, size, state.angle, group), expected, maps];
  };

  const compute = (state) => {
    const image = imageOf(state);
    const { angle, mirror, stabilised } = state;
    const turned = turnImage(image, angle, mirror);
    const orders = networks.map(({ layers }, i) => layers[state[LAYERS[i]]].group?.order ?? 0);
    const columns = Math.max(...orders) || ROWS;
    const rows = networks.length > 1 && columns > ROWS ? FEW_ROWS : ROWS;
    const [low, high] = extremesOf(image);
    const [picture, shown, colours] = forScreen(turned, side, IMAGE_SIDE);
    const pixels = [toBytes(picture, ...(low < high ? [low, high] : [0, 1]))];
    const panels = networks.map((network, i) => {
      const name = state[LAYERS[i]];
      const layer = network.layers[name];
      let [error, expected, maps] = errorOf(network, name, image, turned, state);
      if (stabilised) {
        maps = turnMaps(layer.group, maps, layer.side, -angle);
        maps = mirror ? mirrorMaps(layer.group, maps, layer.side) : maps;
      }
      const budget = Math.floor(MAP_BYTES / networks.length);
      const [panel, bytes] = makePanelValues(
        maps,
        expected,
        layer,
        state[CHANNELS[i]],
        columns,
        rows,
        budget,
      );
      pixels.push(bytes);
      const flip = mirror && layer.group?.reflections ? layer.group.rotations : 0;
      const element = layer.group && !stabilised ? nearestElement(layer.group, angle) + flip : 0;
      const remark = remarkOn(name, layer, error, angle);
      return { ...panel, element, error: numberOrNull(error), text: errorText(error), remark };
    });
    return {
      state: { ...state },
      input: { channels: colours, side: shown },
      panels,
      pixels: joinBytes(pixels),
    };
  };

  const curveOf = (state) => {
    const drawn = state.source === "drawing" ? sources.drawn() : 0;
    const key = [drawn, ...["source", "picture", "mirror", ...LAYERS].map((entry) => state[entry])];
    curves[key] ??= { errors: new Map(), time: 0 };
    return curves[key];
  };
  const curveTraits = ({ errors, time }) => {
    const angles = [...errors.keys()].sort((a, b) => a - b);
    const slow = time > PATIENCE && errors.size >= COARSE_ANGLES;
    const curve = { angles, errors: networks.map((_, i) => angles.map((angle) => errors.get(angle)[i])) };
    return { curve, unfinished: errors.size < CURVE_ANGLES.length && !slow };
  };

  const refine = (state) => {
    const known = curveOf(state);
    const start = performance.now();
    const image = imageOf(state);
    for (const angle of CURVE_ANGLES.filter((each) => !known.errors.has(each))) {
      const turned = turnImage(image, angle, state.mirror);
      const errors = networks.map(
        (network, i) => errorOf(network, state[LAYERS[i]], image, turned, { ...state, angle })[0],
      );
      known.errors.set(angle, errors.map(numberOrNull));
      if (known.errors.size === COARSE_ANGLES || performance.now() - start > SLICE) break;
    }
    if (known.errors.size <= COARSE_ANGLES) known.time += performance.now() - start;
    return curveTraits(known);
  };

  const show = (state) => {
    const { text } = sources.of(state.source)[state.picture];
    const picture = { text, count: sources.of(state.source).length, own: sources.counts() };
    const values = { ...compute(state), picture };
    const errors = values.panels.map((panel, i) => `${networks[i].name} ${panel.text}`);
    const turn = `Image ${state.mirror ? "mirrored and " : ""}turned by ${figures(state.angle, 6)}°.`;
    const remarks = new Set(values.panels.map(({ remark }) => remark).filter(Boolean));
    const ends = [...remarks].map((remark) => ` ${remark}.`).join("");
    const readout = `${text && `Picture: ${text}. `}${turn} Equivariance error: ${errors.join("; ")}.${ends}`;
    return { values, readout, ...curveTraits(curveOf(state)) };
  };

  const take = ({ upload, ...others }, [buffer]) => {
    const { source, name, size, channels: sent } = upload;
    const text = source === "file" ? describeFile(name, size, { side, channels: sent }) : "my drawing";
    return { source, picture: sources.add(source, new Uint8Array(buffer), text), ...others };
  };

  const check = (asked, state, buffers) => {
    let changes = asked.upload ? take(asked, buffers) : asked;
    if ("angle" in changes && !(changes.angle >= 0 && changes.angle <= 360)) {
      refuse(`angle must be at least 0 and at most 360, got ${changes.angle}`);
    }
    if ("layer" in changes && networks.length > 1) {
      changes = { compare_layer: sameDepth[changes.layer], ...changes };
    }
    const image = imageOf(state);
    for (const [i, network] of networks.entries()) {
      const layer = changes[LAYERS[i]];
      if (layer) changes = { [CHANNELS[i]]: network.tellingChannel(layer, image), ...changes };
    }
    if ("source" in changes || "picture" in changes) {
      changes = { picture: 0, ...changes };
      const source = changes.source ?? state.source;
      if (!sources.of(source).length) {
        refuse(`source must have a picture, got '${source}': open a file or draw first`);
      }
    }
    return changes;
  };
  return { check, show, refine };
}
