"use strict";
// The attacks, as brittle.attacks has them, on one image: generators that yield {image, logits} at each step, and
// return what they leave. Passes are counted by the one who is asked, in `Asking`.

const UNIT = 2 ** -23; // of float32
const TINY = 1.1754943508222875e-38;
const { fround } = Math;
const clipped = (v) => (v > 1 ? 1 : v < 0 ? 0 : v);
const argmax = (values) => values.reduce((best, v, at) => (v > values[best] ? at : best), 0);
const softmax = (logits) => {
  const most = Math.max(...logits);
  const each = Array.from(logits, (z) => Math.exp(z - most));
  const sum = each.reduce((one, other) => one + other, 0);
  return each.map((e) => e / sum);
};

const MEASURES = {
  l0(change, area) { // pixels: a pixel is all channels of a place
    let count = 0;
    for (let at = 0; at < area; at += 1) {
      for (let c = at; c < change.length; c += area) if (change[c]) { count += 1; break; }
    }
    return count;
  },
  l1: (change) => change.reduce((sum, d) => sum + Math.abs(d), 0),
  l2: (change) => Math.sqrt(Float64Array.from(change, (d) => d * d).reduce((sum, d) => sum + d, 0)),
  linf: (change) => change.reduce((most, d) => Math.max(most, Math.abs(d)), 0),
};
const differenceOf = (one, other) => Float64Array.from(one, (v, at) => v - other[at]);
const NORMS = {
  l2: {
    dual: MEASURES.l2,
    shape: (w) => w,
    steepest(gradient) {
      const size = MEASURES.l2(gradient);
      return gradient.map((g) => (size ? g / size : 0));
    },
    project(change, eps) {
      const size = MEASURES.l2(change);
      return size > eps ? change.map((d) => d * (eps / size)) : change;
    },
  },
  linf: {
    dual: MEASURES.l1,
    shape: (w) => w.map(Math.sign),
    steepest: (gradient) => gradient.map(Math.sign),
    project: (change, eps) => change.map((d) => Math.min(Math.max(d, -eps), eps)),
  },
};

// What is to be met, beyond rounding; spread: that of the image's own logits, the least that is assumed.
class Goal {
  constructor(label, targeted, logits) {
    Object.assign(this, { label, targeted, least: Goal.spread(logits) });
  }

  static spread(logits) {
    const mean = logits.reduce((sum, z) => sum + z, 0) / logits.length;
    return logits.reduce((most, z) => Math.max(most, Math.abs(z - mean)), 0);
  }

  best(logits) { return logits.reduce((best, z, k) => (k !== this.label && (best < 0 || z > logits[best]) ? k : best), -1); }

  margin(logits) {
    const gap = logits[this.label] - logits[this.best(logits)];
    return this.targeted ? -gap : gap;
  }

  tolerance(logits) {
    const largest = logits.reduce((most, z) => Math.max(most, Math.abs(z)), 0);
    return Math.max(1e-5 * Math.max(Goal.spread(logits), this.least), 2 * UNIT * largest);
  }

  isMet(logits) { return logits.every(Number.isFinite) && (argmax(logits) === this.label) === this.targeted; }

  isSurelyMet(logits) { return logits.every(Number.isFinite) && this.margin(logits) < -this.tolerance(logits); }

  // The log-odds, against the label or for the target, and the weights that make its gradient of those of the logits.
  loss(logits) {
    const others = softmax(logits.map((z, k) => (k === this.label ? -Infinity : z)));
    const most = logits[this.best(logits)];
    const sum = logits.reduce((total, z, k) => (k === this.label ? total : total + Math.exp(z - most)), 0);
    const odds = most + Math.log(sum) - logits[this.label];
    const sign = this.targeted ? -1 : 1;
    return [sign * odds, others.map((p, k) => sign * (k === this.label ? -1 : p))];
  }

  // Of the label, from the loss.
  probability(loss) { return 1 / (1 + Math.exp(this.targeted ? -loss : loss)); }
}

// Asks the network, counts passes and keeps the first image that meets the goal.
class Asking {
  constructor(network, image, goal) { Object.assign(this, { network, image, goal, steps: 0, forwards: 0, backwards: 0, found: null }); }

  note(image, logits) {
    const met = this.goal.isSurelyMet(logits);
    if (met && !this.found) this.found = image;
    return met;
  }

  logits(image) {
    this.forwards += 1;
    return this.network.logits(image);
  }

  linearize(image) {
    this.forwards += 1;
    const [logits, pullback] = this.network.linearize(image);
    return [logits, (weights) => {
      this.backwards += weights.some(Boolean);
      return pullback(weights);
    }];
  }

  gradient(image) {
    const [logits, pullback] = this.linearize(image);
    return [logits, pullback(this.goal.loss(logits)[1])];
  }
}

function* fgsm(ask, { norm, eps }) {
  const [logits, gradient] = ask.gradient(ask.image);
  yield { image: ask.image, logits };
  if (ask.note(ask.image, logits)) return ask.image;
  const step = NORMS[norm].steepest(gradient);
  ask.steps += 1;
  return ask.image.map((v, at) => clipped(fround(v + fround(fround(eps) * step[at]))));
}

function* pgd(ask, { norm, eps, steps, step_size, random_start }, draws) {
  const size = step_size ?? (2.5 * eps) / steps;
  const origin = ask.image;
  let x = origin;
  if (random_start) {
    const logits = ask.logits(x);
    if (ask.note(x, logits)) return x;
    const way = draws.uniform("pgd direction", x.length).map((u) => 2 * u - 1);
    const radius = draws.uniform("pgd radius", 1)[0] ** (1 / x.length);
    const length = MEASURES[norm](way);
    x = origin.map((v, at) => clipped(fround(v + way[at] * ((eps * radius) / length))));
  }
  for (let step = 0; step < steps; step += 1) {
    const [logits, gradient] = ask.gradient(x);
    yield { image: x, logits };
    if (ask.note(x, logits)) return x;
    const way = NORMS[norm].steepest(gradient);
    const moved = x.map((v, at) => fround(v - origin[at]) + size * way[at]);
    const within = NORMS[norm].project(moved, eps);
    x = origin.map((v, at) => clipped(fround(v + within[at])));
    ask.steps += 1;
  }
  return x;
}

// The smallest step with <w, step> = gap within the valid pixels; the free one, clipped, where it gains enough.
function toPlane(norm, gap, w, x, enough) {
  const largest = Math.max(MEASURES.linf(w), TINY);
  const unit = Float64Array.from(w, (v) => v / largest);
  const shape = NORMS[norm].shape(unit);
  const inner = (one, other) => one.reduce((sum, v, at) => sum + v * other[at], 0);
  const wanted = gap / largest;
  const slope = inner(unit, shape);
  let t = slope > 0 ? wanted / slope : 0;
  const within = () => shape.map((s, at) => Math.min(Math.max(t * s, -x[at]), 1 - x[at]));
  let step = within();
  let gained = inner(unit, step);
  if (gained >= enough / largest) return step;
  for (let round = 0; round < 50; round += 1) {
    const free = unit.reduce((sum, v, at) => (step[at] === t * shape[at] ? sum + v * shape[at] : sum), 0);
    if (!(wanted - gained > 1e-6 * wanted && free > 0 && t < 1e30)) break;
    t = Math.min(t + (wanted - gained) / free, 1e30);
    step = within();
    gained = inner(unit, step);
  }
  return step;
}

function* deepfool(ask, { norm, overshoot, max_steps, candidates }) {
  let x = ask.image;
  let first = 0;
  for (let step = 0; step <= max_steps; step += 1) {
    const [logits, pullback] = ask.linearize(x);
    yield { image: x, logits };
    if (ask.note(x, logits) || step === max_steps) return x;
    const own = ask.goal.label;
    const order = [...logits.keys()].filter((k) => k !== own).sort((one, other) => logits[other] - logits[one]);
    const hair = 2 * ask.goal.tolerance(logits);
    const sure = step ? 1 : 2;
    const spread = 1 + 6 / Math.sqrt(x.length);
    let [distance, normal, gap, largest] = [Infinity, null, 0, 0];
    // The planes of the nearest classes by logit; of the others those that might be nearer than these.
    const planes = order.slice(0, candidates).map((k) => [k, Math.max(logits[own] - logits[k], hair)]);
    const look = ([k, between]) => {
      const w = pullback(Float64Array.from(logits, (_, at) => (at === k) - (at === own)));
      const size = NORMS[norm].dual(w);
      largest = Math.max(largest, size);
      if (size > 0 && between / size < distance) [distance, normal, gap] = [between / size, w, between];
    };
    planes.slice(0, sure).forEach(look);
    const reach = distance * largest * spread;
    planes.slice(sure).filter(([, between]) => !(between > reach)).forEach(look);
    if (!normal) return x; // no gradient leads anywhere
    if (!step) first = gap;
    const beyond = overshoot * Math.max(gap, 0.1 * first);
    const move = toPlane(norm, gap + beyond, normal, x, 0.9 * gap);
    const next = x.map((v, at) => clipped(fround(v + fround(move[at]))));
    if (!move.some((d) => fround(d))) return x;
    x = next;
    ask.steps += 1;
  }
  return x;
}

const even = (v) => (Math.abs(v % 1) === 0.5 ? 2 * Math.round(v / 2) : Math.round(v));

// Differential evolution of places and colours: genes are y, x and the colour of each pixel, all in [0, 1].
function* fewPixel(ask, { eps, population, generations, scale, levels }, draws) {
  const logits = ask.logits(ask.image);
  yield { image: ask.image, logits };
  if (ask.note(ask.image, logits)) return ask.image;
  const [channels, height, width] = ask.network.shape;
  const [area, each] = [height * width, 2 + channels];
  const length = eps * each;
  const colours = draws.normal("few-pixel colours", population * eps * channels);
  const places = draws.uniform("few-pixel places", population * eps * 2);
  const genes = new Float32Array(population * length);
  for (let pixel = 0; pixel < population * eps; pixel += 1) {
    genes.set(places.subarray(2 * pixel, 2 * pixel + 2), pixel * each);
    for (let c = 0; c < channels; c += 1) {
      genes[pixel * each + 2 + c] = clipped(128 / 255 + (127 / 255) * colours[pixel * channels + c]);
    }
  }
  const losses = new Float64Array(population).fill(-Infinity);
  const seen = new Map(); // what the network has said of a candidate, which may come again
  const block = Math.ceil(population / 5);
  let best = { loss: -Infinity, image: ask.image, logits };

  // a + F (b - c) of three different others; colours are clipped, and places reflected.
  const child = (member, draw) => {
    let [a, b, c] = [0, 1, 2].map((at) => Math.floor(fround(draw[3 * member + at] * (population - 1 - at))));
    b += b >= a;
    c += c >= Math.min(a, b);
    c += c >= Math.max(a, b);
    [a, b, c] = [a, b, c].map((away) => ((member + 1 + away) % population) * length);
    return Float32Array.from({ length }, (_, at) => {
      const v = fround(genes[a + at] + fround(fround(scale) * fround(genes[b + at] - genes[c + at])));
      return at % each < 2 ? clipped(fround(1 - Math.abs(fround(1 - Math.abs(v))))) : clipped(v);
    });
  };

  const tried = (candidate) => {
    const code = [];
    for (let at = 0; at < length; at += each) {
      const y = Math.min(Math.floor(fround(candidate[at] * height)), height - 1);
      const x = Math.min(Math.floor(fround(candidate[at + 1] * width)), width - 1);
      code.push(y * width + x);
      for (let c = 0; c < channels; c += 1) code.push(even(fround(candidate[at + 2 + c] * (levels - 1))));
    }
    const key = code.join();
    if (!seen.has(key)) {
      const image = ask.image.slice();
      for (let at = 0; at < code.length; at += 1 + channels) {
        for (let c = 0; c < channels; c += 1) image[c * area + code[at]] = code[at + 1 + c] / (levels - 1);
      }
      const said = ask.logits(image);
      const [loss] = ask.goal.loss(said);
      seen.set(key, { loss: Number.isNaN(loss) ? -Infinity : loss, met: ask.goal.isSurelyMet(said), image, logits: said });
    }
    return seen.get(key);
  };

  for (let generation = 0; generation <= generations; generation += 1) {
    const draw = generation ? draws.uniform(`few-pixel ${generation}`, 3 * population) : null;
    ask.steps += 1;
    for (let start = 0; start < population; start += block) {
      const members = Array.from({ length: Math.min(block, population - start) }, (_, at) => start + at);
      const children = members.map((one) => (draw ? child(one, draw) : genes.slice(one * length, (one + 1) * length)));
      const answers = children.map(tried);
      members.forEach((member, at) => {
        const { loss } = answers[at];
        const parent = losses[member];
        if (loss > parent + 1e-6 * Math.min(Math.max(Math.abs(parent), 1), 1e9)) {
          losses[member] = loss;
          genes.set(children[at], member * length);
        }
      });
      const solved = answers.filter((one) => one.met);
      best = (solved.length ? solved : [best, ...answers]).reduce((one, other) => (other.loss > one.loss ? other : one));
      if (solved.length) {
        ask.note(best.image, best.logits);
        return best.image;
      }
    }
    yield { image: best.image, logits: best.logits };
  }
  return best.image;
}

const ATTACKS = { fgsm, pgd, deepfool, "few-pixel": fewPixel };

// One attack on one image, step by step; returns {image, logits, fooled, steps, forwards, backwards}, by a pass of its own.
function* attacked(network, image, label, name, options, { targeted = false, seed = 0, id = "" } = {}) {
  const before = network.logits(image);
  const ask = new Asking(network, image, new Goal(label, targeted, before));
  const left = yield* ATTACKS[name](ask, options, new Draws(seed, id));
  const found = ask.found ?? left;
  const logits = network.logits(found);
  const { steps, forwards, backwards } = ask;
  return { image: found, logits, fooled: ask.goal.isMet(logits), steps, forwards, backwards };
}

function ended(generator) {
  for (;;) {
    const { value, done } = generator.next();
    if (done) return value;
  }
}
