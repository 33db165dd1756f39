"use strict";
// The one rule of amplification (see brittle.pages.pictures), of a change in grey levels.
function amplification(levels, { factors, cutOff, lossy, grey }) {
  if (!levels.some(Boolean)) return 1;
  const [low, high] = [-grey - 0.501, 255 - grey + 0.501];
  const cut = (factor) => levels.reduce((count, d) => count + (d * factor < low || d * factor > high), 0);
  const allowed = (factor) => (factor <= lossy ? Math.floor(cutOff * levels.length) : 0);
  return factors.reduce((best, factor) => (cut(factor) <= allowed(factor) ? factor : best), 1);
}
