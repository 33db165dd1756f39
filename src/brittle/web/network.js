"use strict";
// A network whose layers follow one another, on one image at a time: its logits, and their gradients in the pixels.
// A layer is {give(x), back(gradient, x, y)}: y = give(x), and the gradient in x of what has `gradient` in y.

const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const floatsOf = (text) => new Float32Array(bytesOf(text).buffer);
const sizeOf = (shape) => shape.reduce((one, other) => one * other, 1);

// Images of a page's data, each as float32.
function imagesOf(made, shape) {
  const all = made.type === "uint8" ? Float32Array.from(bytesOf(made.values), (level) => level / 255) : floatsOf(made.values);
  const size = sizeOf(shape);
  return Array.from({ length: all.length / size }, (_, at) => all.slice(at * size, (at + 1) * size));
}

const pointwise = (value, slope) => () => ({
  give: (x) => x.map(value),
  back: (gradient, x, y) => gradient.map((g, at) => g * slope(y[at])),
});

// Where a window meets the image: for each place in it and each row of the output that this is in, four numbers: the
// first output, the one behind the last, the first input, and the place in the window.
function spansOf({ kernel, stride, padding, dilation = [1, 1] }, [height, width], [rows, columns]) {
  const spans = [];
  for (let ky = 0; ky < kernel[0]; ky += 1) {
    for (let kx = 0; kx < kernel[1]; kx += 1) {
      const [dy, dx] = [ky * dilation[0] - padding[0], kx * dilation[1] - padding[1]];
      const first = Math.max(0, Math.ceil(-dx / stride[1]));
      const end = Math.min(columns, Math.floor((width - 1 - dx) / stride[1]) + 1);
      for (let row = 0; row < rows; row += 1) {
        const y = row * stride[0] + dy;
        if (y < 0 || y >= height || end <= first) continue;
        spans.push(row * columns + first, row * columns + end, y * width + first * stride[1] + dx, ky * kernel[1] + kx);
      }
    }
  }
  return Int32Array.from(spans);
}

// Outputs and inputs of a pooling layer, in pairs: output, input, output, input, ...
function pairsOf(layer, [channels, ...side]) {
  const places = layer.out.slice(1);
  const spans = spansOf(layer, side, places);
  const [area, made, step] = [sizeOf(side), sizeOf(places), layer.stride[1]];
  const pairs = [];
  for (let c = 0; c < channels; c += 1) {
    for (let s = 0; s < spans.length; s += 4) {
      for (let o = spans[s], i = spans[s + 2]; o < spans[s + 1]; o += 1, i += step) pairs.push(c * made + o, c * area + i);
    }
  }
  return Int32Array.from(pairs);
}

const KINDS = {
  relu: pointwise((v) => (v > 0 ? v : 0), (y) => (y > 0 ? 1 : 0)),
  sigmoid: pointwise((v) => 1 / (1 + Math.exp(-v)), (y) => y * (1 - y)),
  tanh: pointwise(Math.tanh, (y) => 1 - y * y),

  scale(layer, shape) {
    const [weight, bias] = [floatsOf(layer.weight), floatsOf(layer.bias)];
    const area = sizeOf(shape.slice(1));
    return {
      give: (x) => x.map((v, at) => v * weight[Math.floor(at / area)] + bias[Math.floor(at / area)]),
      back: (gradient) => gradient.map((g, at) => g * weight[Math.floor(at / area)]),
    };
  },

  linear(layer, shape) {
    const [weight, bias] = [Float64Array.from(floatsOf(layer.weight)), floatsOf(layer.bias)];
    const inputs = sizeOf(shape);
    return {
      give: (x) => Float64Array.from(bias, (offset, row) => {
        let sum = offset;
        for (let at = 0, w = row * inputs; at < inputs; at += 1, w += 1) sum += weight[w] * x[at];
        return sum;
      }),
      back(gradient, x) {
        const made = new Float64Array(x.length);
        gradient.forEach((g, row) => {
          if (g) for (let at = 0, w = row * inputs; at < inputs; at += 1, w += 1) made[at] += weight[w] * g;
        });
        return made;
      },
    };
  },

  convolution(layer, [channels, ...side]) {
    const [weight, bias] = [Float64Array.from(floatsOf(layer.weight)), floatsOf(layer.bias)];
    const [outs, ...places] = layer.out;
    const spans = spansOf(layer, side, places);
    const [within, area, made, step] = [channels / layer.groups, sizeOf(side), sizeOf(places), layer.stride[1]];
    const window = sizeOf(layer.kernel);
    const firstOf = (out) => Math.floor(out / (outs / layer.groups)) * within; // of the inputs that an output reads
    return {
      give(x) {
        const y = new Float64Array(outs * made);
        for (let out = 0; out < outs; out += 1) {
          const to = out * made;
          y.fill(bias[out], to, to + made);
          for (let one = 0; one < within; one += 1) {
            const [from, own] = [(firstOf(out) + one) * area, (out * within + one) * window];
            for (let s = 0; s < spans.length; s += 4) {
              const w = weight[own + spans[s + 3]];
              const end = to + spans[s + 1];
              for (let o = to + spans[s], i = from + spans[s + 2]; o < end; o += 1, i += step) y[o] += w * x[i];
            }
          }
        }
        return y;
      },
      back(gradient, x) {
        const back = new Float64Array(x.length);
        for (let out = 0; out < outs; out += 1) {
          const to = out * made;
          for (let one = 0; one < within; one += 1) {
            const [from, own] = [(firstOf(out) + one) * area, (out * within + one) * window];
            for (let s = 0; s < spans.length; s += 4) {
              const w = weight[own + spans[s + 3]];
              const end = to + spans[s + 1];
              for (let o = to + spans[s], i = from + spans[s + 2]; o < end; o += 1, i += step) back[i] += w * gradient[o];
            }
          }
        }
        return back;
      },
    };
  },

  mean(layer, shape) {
    const [pairs, size, share] = [pairsOf(layer, shape), sizeOf(layer.out), 1 / sizeOf(layer.kernel)];
    return {
      give(x) {
        const y = new Float64Array(size);
        for (let p = 0; p < pairs.length; p += 2) y[pairs[p]] += share * x[pairs[p + 1]];
        return y;
      },
      back(gradient, x) {
        const back = new Float64Array(x.length);
        for (let p = 0; p < pairs.length; p += 2) back[pairs[p + 1]] += share * gradient[pairs[p]];
        return back;
      },
    };
  },

  // The first of equal values has the gradient, as in PyTorch.
  largest(layer, shape) {
    const [pairs, size] = [pairsOf(layer, shape), sizeOf(layer.out)];
    const chosen = (x) => {
      const best = new Int32Array(size).fill(-1);
      for (let p = 0; p < pairs.length; p += 2) {
        const [o, i] = [pairs[p], pairs[p + 1]];
        if (best[o] < 0 || x[i] > x[best[o]]) best[o] = i;
      }
      return best;
    };
    return {
      give: (x) => Float64Array.from(chosen(x), (at) => x[at]),
      back(gradient, x) {
        const back = new Float64Array(x.length);
        chosen(x).forEach((at, o) => { back[at] += gradient[o]; });
        return back;
      },
    };
  },
};

class Network {
  constructor(made) {
    this.shape = made.shape;
    this.layers = made.layers.map((layer, at) => KINDS[layer.kind](layer, at ? made.layers[at - 1].out : made.shape));
  }

  // Logits, and a function from a weight for each of them to the gradient of their sum.
  linearize(image) {
    const values = [Float64Array.from(image)];
    for (const layer of this.layers) values.push(layer.give(values.at(-1)));
    const pullback = (weights) => this.layers.reduceRight(
      (gradient, layer, at) => layer.back(gradient, values[at], values[at + 1]), Float64Array.from(weights));
    return [values.at(-1), pullback];
  }

  logits(image) { return this.linearize(image)[0]; }
}
