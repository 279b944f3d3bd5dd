// Runs a plan: the steps that Python has written down of a network (see plan.py). Nothing is imported, nothing fetched.

/** product.wat, assembled: a product of matrices with four numbers at a time. */
const PRODUCT =
  "AGFzbQEAAAABCgFgBn9/f39/fwACEAEEcGFnZQZtZW1vcnkCAAEDAgEABwsBB3Byb2R1Y3QAAAqBBAH+AwIGfwt7IAVBAnQhCwNAIAAhBiACIQkgAyEKIAEgBEEFdGohCANAIAEhB/0MAAAAAAAAAAAAAAAAAAAAACEP/QwAAAAAAAAAAAAAAAAAAAAAIRD9DAAAAAAAAAAAAAAAAAAAAAAhEf0MAAAAAAAAAAAAAAAAAAAAACES/QwAAAAAAAAAAAAAAAAAAAAAIRP9DAAAAAAAAAAAAAAAAAAAAAAhFP0MAAAAAAAAAAAAAAAAAAAAACEV/QwAAAAAAAAAAAAAAAAAAAAAIRYDQCAH/QAEACEMIAf9AAQQIQ0gBv0JAgAhDiAPIA4gDP3mAf3kASEPIBAgDiAN/eYB/eQBIRAgBv0JAgQhDiARIA4gDP3mAf3kASERIBIgDiAN/eYB/eQBIRIgBv0JAgghDiATIA4gDP3mAf3kASETIBQgDiAN/eYB/eQBIRQgBv0JAgwhDiAVIA4gDP3mAf3kASEVIBYgDiAN/eYB/eQBIRYgBkEQaiEGIAdBIGohByAHIAhJDQALIAkgD/0LBAAgCSAQ/QsEECAJIAtqIQkgCSAR/QsEACAJIBL9CwQQIAkgC2ohCSAJIBP9CwQAIAkgFP0LBBAgCSALaiEJIAkgFf0LBAAgCSAW/QsEECAJIAtqIQkgCkEEayIKDQALIAghASACQSBqIQIgBUEIayIFDQALCw==";

/** The same in JavaScript, for pages on which WebAssembly is not allowed; places count numbers, sums are precise. */
function productInScript(memory, a, b, c, rows, depth, columns) {
  for (let column = 0; column < columns; column += 2) {
    const right = b + (column - (column % 8)) * depth + (column % 8);
    for (let row = 0; row < rows; row += 4) {
      const left = a + row * depth;
      let [p, q, r, s, t, u, v, w] = [0, 0, 0, 0, 0, 0, 0, 0];
      for (let i = 0; i < depth; i++) {
        const x = memory[right + 8 * i];
        const y = memory[right + 8 * i + 1];
        let weight = memory[left + 4 * i];
        p += weight * x;
        t += weight * y;
        weight = memory[left + 4 * i + 1];
        q += weight * x;
        u += weight * y;
        weight = memory[left + 4 * i + 2];
        r += weight * x;
        v += weight * y;
        weight = memory[left + 4 * i + 3];
        s += weight * x;
        w += weight * y;
      }
      const to = c + row * columns + column;
      for (const [i, sum] of [p, q, r, s].entries()) memory[to + i * columns] = sum;
      for (const [i, sum] of [t, u, v, w].entries()) memory[to + i * columns + 1] = sum;
    }
  }
}

/** Numbers of 32 bits out of their first bytes, their second ones, and so on. */
function unpackWords(bytes) {
  const count = bytes.length / 4;
  return Uint8Array.from(bytes, (_, i) => bytes[(i % 4) * count + (i >> 2)]).buffer;
}

const upTo = (number, multiple) => multiple * Math.ceil(number / multiple);

/** How large the product of a convolution is: rows, depth and columns, the first and the last rounded up. */
function sizeOfProduct({ channels, out, window, to, groups }) {
  const depth = (channels / groups) * window[0] * window[1];
  return { rows: upTo(out / groups, 4), depth, columns: upTo(to[0] * to[1], 8) };
}

/**
 * An engine: run(image, names) gives the outputs of these names for an image, as arrays that are valid until the next
 * run. plan.words are bytes. useWasm says whether WebAssembly may be tried; engine.wasm whether it runs.
 */
async function makeEngine({ steps, outputs, words }, useWasm = true) {
  const numbers = unpackWords(words);
  const [floats, integers] = [new Float32Array(numbers), new Int32Array(numbers)];
  const convolutions = steps.filter(({ kind }) => kind === "conv");
  const sizes = convolutions.map(sizeOfProduct);
  const most = (size) => Math.max(0, ...sizes.map(size));
  let end = 0;
  const room = (size) => {
    end += upTo(size, 4);
    return end - upTo(size, 4);
  };
  const at = steps.map(({ size }) => room(size)); // where the numbers of each step stand
  const unfolded = room(most(({ depth, columns }) => depth * columns));
  const result = room(most(({ rows, columns }) => rows * columns));
  const kernels = new Map(
    convolutions.map((step, i) => [step, room(step.groups * sizes[i].rows * sizes[i].depth)]),
  );
  let [buffer, compiled] = [null, null];
  if (useWasm) {
    try {
      const page = { memory: new WebAssembly.Memory({ initial: Math.ceil((4 * end) / 65536) + 1 }) };
      const bytes = Uint8Array.from(atob(PRODUCT), (letter) => letter.charCodeAt(0));
      compiled = (await WebAssembly.instantiate(bytes, { page })).instance.exports.product;
      buffer = page.memory.buffer;
    } catch {
      compiled = null; // a policy forbids it, or the browser is too old
    }
  }
  const memory = new Float32Array(buffer ?? 4 * end);
  const multiply = compiled
    ? (a, b, c, ...size) => compiled(4 * a, 4 * b, 4 * c, ...size)
    : (...places) => productInScript(memory, ...places);

  const pack = (step, kernel, start) => {
    const { rows, depth } = sizeOfProduct(step);
    const filters = step.out / step.groups;
    for (let row = 0; row < step.out; row++) {
      const place = row % filters; // in its group
      const four = start + (Math.floor(row / filters) * rows + place - (place % 4)) * depth + (place % 4);
      for (let i = 0; i < depth; i++) memory[four + 4 * i] = memory[kernel + row * depth + i];
    }
  };
  const packed = new Set();
  /** What each kind of step does, with the places of what it is made of and its own. */
  const kinds = {
    input() {},
    constant({ at: start, size }, _, to) {
      memory.set(floats.subarray(start, start + size), to);
    },
    gather({ rows, stride, block, table: [start, count] }, [from], to) {
      let next = to;
      for (let row = 0; row < rows; row++) {
        for (let entry = start; entry < start + count; entry++, next += block) {
          const place = from + row * stride + integers[entry];
          if (integers[entry] < 0) memory.fill(0, next, next + block);
          else if (block === 1) memory[next] = memory[place];
          else memory.copyWithin(next, place, place + block);
        }
      }
    },
    relu({ size }, [from], to) {
      for (let i = 0; i < size; i++) memory[to + i] = Math.max(0, memory[from + i]);
    },
    add({ size }, [one, other], to) {
      for (let i = 0; i < size; i++) memory[to + i] = memory[one + i] + memory[other + i];
    },
    affine({ size, channels, inner }, [from, scales, shifts], to) {
      for (let plane = 0; plane < size / inner; plane++) {
        const [scale, shift] = [memory[scales + (plane % channels)], memory[shifts + (plane % channels)]];
        for (let i = plane * inner; i < (plane + 1) * inner; i++)
          memory[to + i] = memory[from + i] * scale + shift;
      }
    },
    reduce({ size, row, how }, [from], to) {
      for (let i = 0; i < size; i++) {
        const numbers = memory.subarray(from + i * row, from + (i + 1) * row);
        const largest = () => numbers.reduce((a, b) => Math.max(a, b));
        memory[to + i] = how === "max" ? largest() : numbers.reduce((a, b) => a + b) / row;
      }
    },
    pool: (step, [from], to) => pool(memory, step, from, to),
    conv(step, [from, kernel, bias], to) {
      const { batch, channels, sides, out, groups } = step;
      const { rows, depth, columns } = sizeOfProduct(step);
      const [plane, filters] = [step.to[0] * step.to[1], out / groups];
      if (!packed.has(step)) pack(step, kernel, kernels.get(step));
      packed.add(step);
      for (let part = 0; part < batch * groups; part++) {
        const group = part % groups;
        unfold(memory, step, from + ((part * channels) / groups) * sides[0] * sides[1], unfolded);
        multiply(kernels.get(step) + group * rows * depth, unfolded, result, rows, depth, columns);
        for (let row = 0; row < filters; row++) {
          const [source, target] = [result + row * columns, to + (part * filters + row) * plane];
          const shift = bias === undefined ? 0 : memory[bias + group * filters + row];
          for (let i = 0; i < plane; i++) memory[target + i] = memory[source + i] + shift;
        }
      }
    },
  };
  const places = steps.map(({ of = [] }) => of.map((source) => at[source]));
  const compute = (i) => kinds[steps[i].kind](steps[i], places[i], at[i]);
  for (const [i, { fixed }] of steps.entries()) if (fixed) compute(i);

  /** The steps that these outputs need, those of all images apart. */
  const needed = (names) => {
    const found = new Set();
    const add = (i) => {
      if (steps[i].fixed || found.has(i)) return;
      found.add(i);
      for (const source of steps[i].of ?? []) add(source);
    };
    for (const name of names) add(outputs[name][0]);
    return [...found].sort((a, b) => a - b);
  };
  const image = at[steps.findIndex(({ kind }) => kind === "input")];
  const known = {};
  const run = (picture, names) => {
    memory.set(picture, image);
    known[names] ??= needed(names);
    for (const i of known[names]) compute(i);
    const numbersOf = (i) => memory.subarray(at[i], at[i] + steps[i].size);
    return names.map((name) => numbersOf(outputs[name][0]));
  };
  return { run, wasm: compiled !== null };
}

/** The windows of a convolution, as columns of a matrix; for each eight columns one row after the other. */
function unfold(memory, { channels, groups, sides, window, to, stride, padding, dilation }, from, end) {
  const [height, width] = sides;
  const depth = (channels / groups) * window[0] * window[1];
  let row = 0;
  for (let channel = 0; channel < channels / groups; channel++) {
    for (let down = 0; down < window[0]; down++) {
      for (let right = 0; right < window[1]; right++, row++) {
        let column = 0;
        for (let i = 0; i < to[0]; i++) {
          const y = i * stride[0] - padding[0] + down * dilation[0];
          const line = from + (channel * height + y) * width;
          for (let j = 0; j < to[1]; j++, column++) {
            const x = j * stride[1] - padding[1] + right * dilation[1];
            const inside = y >= 0 && y < height && x >= 0 && x < width;
            const place = end + (column >> 3) * 8 * depth + 8 * row + (column & 7);
            memory[place] = inside ? memory[line + x] : 0;
          }
        }
      }
    }
  }
}

/** Means or maxima of windows; a mean counts the padding only where it is `padded`. */
function pool(memory, { planes, sides, window, to, stride, padding, how, padded }, from, end) {
  const [height, width] = sides;
  for (let plane = 0; plane < planes; plane++) {
    for (let i = 0; i < to[0]; i++) {
      for (let j = 0; j < to[1]; j++) {
        const [top, left] = [i * stride[0] - padding[0], j * stride[1] - padding[1]];
        let [sum, largest, count] = [0, -Infinity, 0];
        for (let y = Math.max(0, top); y < Math.min(height, top + window[0]); y++) {
          for (let x = Math.max(0, left); x < Math.min(width, left + window[1]); x++, count++) {
            const value = memory[from + (plane * height + y) * width + x];
            sum += value;
            largest = Math.max(largest, value);
          }
        }
        if (padded) count = window[0] * window[1];
        memory[end + (plane * to[0] + i) * to[1] + j] = how === "max" ? largest : sum / count;
      }
    }
  }
}
