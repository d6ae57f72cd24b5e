import { describe, expect, test } from "vitest";

import { JitterBuffer } from "./jitter";

const RATE = 48_000;
const QUANTUM = 128;

function loud(ms: number, value = 0.5): Float32Array {
  return new Float32Array(Math.round((RATE * ms) / 1000)).fill(value);
}

/** Pull this many ms, one render quantum at a time. */
function pull(buffer: JitterBuffer, ms: number): number[] {
  const heard: number[] = [];
  const out = new Float32Array(QUANTUM);
  for (let i = 0; i < Math.ceil((RATE * ms) / 1000 / QUANTUM); i += 1) {
    buffer.pull(out);
    heard.push(...out);
  }
  return heard;
}

const audible = (samples: number[]) => samples.filter((value) => value !== 0).length;

describe("starting", () => {
  test("waits for 60 ms of audio, then plays all of it", () => {
    const buffer = new JitterBuffer(RATE);
    buffer.push(loud(40));
    expect(audible(pull(buffer, 20))).toBe(0);
    buffer.push(loud(40));
    expect(audible(pull(buffer, 100))).toBe(RATE * 0.08);
  });

  test("an answer shorter than that still comes out, after 60 ms", () => {
    const buffer = new JitterBuffer(RATE);
    buffer.push(loud(10));
    expect(audible(pull(buffer, 50))).toBe(0);
    expect(audible(pull(buffer, 40))).toBe(RATE * 0.01);
  });

  test("order is kept across chunks of odd sizes", () => {
    const buffer = new JitterBuffer(RATE);
    const ramp = Float32Array.from({ length: 6001 }, (_, i) => (i + 1) / 6001);
    for (const cut of [0, 17, 1000, 1001, 4444]) {
      const next = { 0: 17, 17: 1000, 1000: 1001, 1001: 4444, 4444: 6001 }[cut];
      buffer.push(ramp.slice(cut, next));
    }
    expect(pull(buffer, 200).filter((value) => value !== 0)).toEqual([...ramp]);
  });
});

describe("interruption", () => {
  test("silence within one render quantum, and nothing of the rest is ever heard", () => {
    const buffer = new JitterBuffer(RATE);
    buffer.push(loud(500));
    pull(buffer, 50);
    buffer.drop();
    expect(buffer.stats.bufferedMs).toBe(0);
    const after = pull(buffer, 300);
    expect(audible(after.slice(QUANTUM))).toBe(0);
    const fade = after.slice(0, QUANTUM);
    expect(fade[0]).toBeLessThan(0.5);
    expect([...fade].sort((a, b) => b - a)).toEqual(fade); // falls steadily: no click
  });

  test("the next answer starts from its first sample", () => {
    const buffer = new JitterBuffer(RATE);
    buffer.push(loud(500, 0.5));
    pull(buffer, 50);
    buffer.drop();
    pull(buffer, 20);
    buffer.push(loud(100, 0.25));
    const heard = pull(buffer, 200).filter((value) => value !== 0);
    expect(heard).toEqual([...loud(100, 0.25)]);
  });

  test("a gap it caused is no underrun", () => {
    const buffer = new JitterBuffer(RATE);
    buffer.push(loud(100));
    pull(buffer, 30);
    buffer.drop();
    pull(buffer, 100);
    buffer.push(loud(100));
    expect(buffer.stats.underruns).toBe(0);
  });
});

describe("underruns", () => {
  test("audio that comes late in mid-answer counts once, and more is buffered from then on", () => {
    const buffer = new JitterBuffer(RATE);
    buffer.push(loud(80));
    pull(buffer, 200);
    buffer.push(loud(60));
    expect(buffer.stats.underruns).toBe(1);
    expect(audible(pull(buffer, 3))).toBe(0); // 60 ms is no longer enough to start at once
    buffer.push(loud(40));
    expect(audible(pull(buffer, 3))).toBeGreaterThan(0);
    expect(buffer.stats.underruns).toBe(1);
  });

  test("a new answer or a long pause is none", () => {
    const buffer = new JitterBuffer(RATE);
    buffer.push(loud(80));
    pull(buffer, 200);
    buffer.begin();
    buffer.push(loud(80));
    pull(buffer, 1500);
    buffer.push(loud(80));
    expect(buffer.stats.underruns).toBe(0);
  });
});

describe("catching up", () => {
  test("after a burst silence runs at double speed until 200 ms are left", () => {
    const buffer = new JitterBuffer(RATE);
    buffer.push(loud(100));
    buffer.push(new Float32Array(RATE)); // a second of silence
    buffer.push(loud(100));
    pull(buffer, 600); // 100 loud, 450 of silence doubled, 50 as it is
    expect(buffer.stats.bufferedMs).toBeCloseTo(1200 - 100 - 900 - 50, -1);
  });

  test("speech is never skipped", () => {
    const buffer = new JitterBuffer(RATE);
    buffer.push(loud(1500));
    expect(audible(pull(buffer, 2000))).toBe(RATE * 1.5);
  });

  test("memory is bounded", () => {
    const buffer = new JitterBuffer(RATE);
    for (let i = 0; i < 40; i += 1) buffer.push(loud(1000));
    expect(buffer.stats.bufferedMs).toBe(30_000);
  });
});
