/* What a rater hears when: a function of the kit and of the rater's code alone, so that the same
   code finds the same order again. Knows nothing of the page. */

/* 32-bit FNV-1a of the UTF-8 bytes. */
function seedOf(text) {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash;
}

/* Mulberry32: numbers in 0..1 from a 32-bit state. */
function generator(state) {
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/* Fisher and Yates. */
function shuffled(list, random) {
  const out = [...list];
  for (let last = out.length - 1; last > 0; last--) {
    const at = Math.floor(random() * (last + 1));
    [out[last], out[at]] = [out[at], out[last]];
  }
  return out;
}

/* All single clips, then all pairs, each with its A and B; `order` counts from 1. */
function planFor(kit, rater) {
  const random = generator(seedOf(`${kit.kit}/${rater}`));
  const singles = shuffled(kit.rate, random).map((a) => ({ id: a, kind: "acr", a, b: "" }));
  const pairs = shuffled(kit.pairs, random).map(([one, other]) => {
    const [a, b] = random() < 0.5 ? [one, other] : [other, one];
    return { id: `${one}/${other}`, kind: "pair", a, b };
  });
  return [...singles, ...pairs].map((task, at) => ({ ...task, order: at + 1 }));
}
