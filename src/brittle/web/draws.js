"use strict";
// Randomness as Python has it: a stream of numbers for each seed, image and purpose (see brittle.rng).

// The first eight bytes of SHA-256 as two numbers of 32 bits (FIPS 180-4).
function digest(text) {
  const bytes = new TextEncoder().encode(text);
  const length = ((bytes.length + 8) >> 6) + 1;
  const words = new Uint32Array(16 * length);
  bytes.forEach((byte, at) => { words[at >> 2] |= byte << (24 - 8 * (at & 3)); });
  words[bytes.length >> 2] |= 0x80 << (24 - 8 * (bytes.length & 3));
  words[16 * length - 1] = 8 * bytes.length;

  const primes = [];
  for (let n = 2; primes.length < 64; n += 1) if (primes.every((prime) => n % prime)) primes.push(n);
  const part = (x) => Math.floor((x - Math.floor(x)) * 2 ** 32);
  const constants = primes.map((prime) => part(Math.cbrt(prime)));
  const state = Uint32Array.from(primes.slice(0, 8), (prime) => part(Math.sqrt(prime)));
  const turned = (x, by) => (x >>> by) | (x << (32 - by));
  const w = new Uint32Array(64);
  for (let block = 0; block < length; block += 1) {
    w.set(words.subarray(16 * block, 16 * block + 16));
    for (let t = 16; t < 64; t += 1) {
      const near = turned(w[t - 15], 7) ^ turned(w[t - 15], 18) ^ (w[t - 15] >>> 3);
      const far = turned(w[t - 2], 17) ^ turned(w[t - 2], 19) ^ (w[t - 2] >>> 10);
      w[t] = w[t - 16] + near + w[t - 7] + far;
    }
    let [a, b, c, d, e, f, g, h] = state;
    for (let t = 0; t < 64; t += 1) {
      const one = (h + (turned(e, 6) ^ turned(e, 11) ^ turned(e, 25)) + ((e & f) ^ (~e & g)) + constants[t] + w[t]) | 0;
      const two = ((turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      [h, g, f, e, d, c, b, a] = [g, f, e, (d + one) | 0, c, b, a, (one + two) | 0];
    }
    [a, b, c, d, e, f, g, h].forEach((value, at) => { state[at] += value; });
  }
  return state.subarray(0, 2);
}

// MT19937 (Matsumoto and Nishimura 1998), which a torch.Generator is; it takes the lower half of its seed.
class Stream {
  constructor(seed) {
    this.state = new Uint32Array(624);
    this.state[0] = seed;
    for (let at = 1; at < 624; at += 1) {
      const last = this.state[at - 1] ^ (this.state[at - 1] >>> 30);
      this.state[at] = Math.imul(1812433253, last) + at;
    }
    this.at = 624;
  }

  bits() {
    const s = this.state;
    if (this.at === 624) {
      for (let at = 0; at < 624; at += 1) {
        const y = (s[at] & 0x80000000) | (s[(at + 1) % 624] & 0x7fffffff);
        s[at] = s[(at + 397) % 624] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
      }
      this.at = 0;
    }
    let y = s[this.at++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  uniform(count) {
    return Float32Array.from({ length: count }, () => (this.bits() & 0xffffff) * 2 ** -24);
  }

  // By Box and Muller in blocks of 16, the last of which is drawn anew where it overlaps; count >= 16.
  normal(count) {
    const out = this.uniform(count);
    const block = (at) => {
      for (let j = at; j < at + 8; j += 1) {
        const radius = Math.sqrt(-2 * Math.log(1 - out[j]));
        const angle = 2 * Math.PI * out[j + 8];
        out[j] = radius * Math.cos(angle);
        out[j + 8] = radius * Math.sin(angle);
      }
    };
    for (let at = 0; at + 16 <= count; at += 16) block(at);
    if (count % 16) {
      out.set(this.uniform(16), count - 16);
      block(count - 16);
    }
    return out;
  }
}

class Draws {
  constructor(seed, id) { this.named = (purpose) => new Stream(digest(`${seed}\0${id}\0${purpose}`)[1]); }

  uniform(purpose, count) { return this.named(purpose).uniform(count); }

  normal(purpose, count) { return this.named(purpose).normal(count); }
}
