// Random numbers that a seed fixes, the same on every machine (mulberry32): for tests, benchmarks and demonstrations that can
// be repeated. Not for secrets.

/** A generator of whole numbers from 0 up to `limit` (at most 2^32), without it. */
export function randomFrom(seed: number): (limit: number) => number {
  let state = seed >>> 0;
  return (limit) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
  };
}

/** A generator of numbers from 0 up to 1, without it. */
export function fractionsFrom(seed: number): () => number {
  const random = randomFrom(seed);
  return () => random(2 ** 32) / 2 ** 32;
}
