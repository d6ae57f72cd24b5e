import { expect, test } from "vitest";

import type { CallEvent } from "./events";
import { blocks, KEPT, medianMs, reduceLatency, type Turn } from "./latency";

function turn(number: number, totalMs: number, stages: Turn["stages"] = {}): CallEvent {
  return { kind: "server", message: { type: "latency", turn: number, totalMs, stages } };
}

test("turns are kept in order, the oldest make room", () => {
  let turns: Turn[] = [];
  for (let i = 1; i <= KEPT + 5; i += 1) turns = reduceLatency(turns, turn(i, i * 10));
  expect(turns).toHaveLength(KEPT);
  expect(turns[0]?.turn).toBe(6);
  expect(turns.at(-1)?.totalMs).toBe((KEPT + 5) * 10);
});

test("a new call forgets, a reconnection does not", () => {
  const turns = reduceLatency([], turn(1, 500));
  expect(reduceLatency(turns, { kind: "connected", again: true })).toBe(turns);
  expect(reduceLatency(turns, { kind: "opening", source: "sample" })).toEqual([]);
});

test("the median", () => {
  const of = (...totals: number[]) => medianMs(totals.map((totalMs) => ({ turn: 1, totalMs, stages: {} })));
  expect(of()).toBeNull();
  expect(of(900, 100, 500)).toBe(500);
  expect(of(400, 100, 900, 600)).toBe(500);
});

test("stages lie end to end in the order they happen, with what is unexplained at the end", () => {
  const stages = { asr_ms: 80, endpointing_ms: 300, tts_first_audio_ms: 20 };
  expect(blocks({ turn: 1, totalMs: 450, stages })).toEqual([
    { stage: "endpointing_ms", startMs: 0, ms: 300 },
    { stage: "asr_ms", startMs: 300, ms: 80 },
    { stage: "tts_first_audio_ms", startMs: 380, ms: 20 },
    { stage: "rest", startMs: 400, ms: 50 },
  ]);
});
