import { describe, expect, test } from "vitest";

import { Resampler } from "./resample";

function tone(hertz: number, rate: number, seconds: number): Float32Array {
  return Float32Array.from({ length: rate * seconds }, (_, i) =>
    Math.sin((2 * Math.PI * hertz * i) / rate),
  );
}

/** Amplitude of one frequency in a signal, its first and last tenth left out. */
function amplitude(signal: Float32Array, hertz: number, rate: number): number {
  const edge = Math.floor(signal.length / 10);
  let re = 0;
  let im = 0;
  for (let i = edge; i < signal.length - edge; i += 1) {
    re += signal[i]! * Math.cos((2 * Math.PI * hertz * i) / rate);
    im += signal[i]! * Math.sin((2 * Math.PI * hertz * i) / rate);
  }
  return (2 * Math.hypot(re, im)) / (signal.length - 2 * edge);
}

const PAIRS = [
  [48_000, 16_000],
  [44_100, 16_000],
  [24_000, 48_000],
  [24_000, 44_100],
] as const;

describe.each(PAIRS)("from %i Hz to %i Hz", (from, to) => {
  test("speech frequencies keep their level", () => {
    for (const hertz of [200, 1000, 3400]) {
      const out = new Resampler(from, to).process(tone(hertz, from, 0.5));
      expect(amplitude(out, hertz, to)).toBeCloseTo(1, 2);
    }
  });

  test("the duration stays", () => {
    const out = new Resampler(from, to).process(tone(500, from, 1));
    expect(Math.abs(out.length - to)).toBeLessThan(to / 500); // under 2 ms is still inside
  });

  test("blocks of any size give the same samples as one piece", () => {
    const input = tone(777, from, 0.2);
    const whole = new Resampler(from, to).process(input);
    const streaming = new Resampler(from, to);
    const parts: number[] = [];
    for (let at = 0, size = 1; at < input.length; at += size, size = (size * 7) % 300 || 1) {
      parts.push(...streaming.process(input.subarray(at, at + size)));
    }
    expect(parts).toEqual([...whole]);
  });
});

test("what the slower rate cannot carry is removed, not folded down", () => {
  const out = new Resampler(48_000, 16_000).process(tone(11_000, 48_000, 0.5));
  expect(amplitude(out, 5000, 16_000)).toBeLessThan(0.001); // 16 kHz - 11 kHz
});

test("equal rates pass through", () => {
  const input = tone(440, 16_000, 0.01);
  expect(new Resampler(16_000, 16_000).process(input)).toEqual(input);
});

test("a reset forgets the past", () => {
  const resampler = new Resampler(48_000, 16_000);
  const first = resampler.process(tone(300, 48_000, 0.05));
  resampler.reset();
  expect(resampler.process(tone(300, 48_000, 0.05))).toEqual(first);
});

test.each([0, -1, 44_100.5, Number.NaN])("%d Hz is refused", (rate) => {
  expect(() => new Resampler(rate, 16_000)).toThrow(RangeError);
});
