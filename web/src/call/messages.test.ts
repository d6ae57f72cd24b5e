import { expect, test } from "vitest";

import { parseServerMessage } from "./messages";

test("a latency record keeps the stages it knows", () => {
  const stages = { endpointing_ms: 300, asr_ms: 80.5, telepathy_ms: 1, first_clause_ms: "soon" };
  expect(parseServerMessage({ type: "latency", turn: 3, stages, total_ms: 412 })).toEqual({
    type: "latency",
    turn: 3,
    stages: { endpointing_ms: 300, asr_ms: 80.5 },
    totalMs: 412,
  });
});

test("an interruption may name its answer or not", () => {
  expect(parseServerMessage({ type: "interrupted", id: 7, spoken: "సరే" })).toEqual({
    type: "interrupted",
    id: 7,
    spoken: "సరే",
  });
  expect(parseServerMessage({ type: "interrupted" })).toEqual({
    type: "interrupted",
    id: undefined,
    spoken: "",
  });
});

test("the engine that answers is named, with the reason when it is another", () => {
  expect(parseServerMessage({ type: "engine", id: "s2s", reason: "" })).toEqual({
    type: "engine",
    id: "s2s",
    reason: "",
  });
  expect(parseServerMessage({ type: "engine", id: "cascade", reason: "full" })).toEqual({
    type: "engine",
    id: "cascade",
    reason: "full",
  });
});

test("the voice that speaks is named, and whether it stands in for another", () => {
  const stoodIn = { type: "voice", id: "espeak-ng", fallback: true, reason: "away" };
  expect(parseServerMessage(stoodIn)).toEqual(stoodIn);
  const back = { type: "voice", id: "SpeechT5", fallback: false, reason: "" };
  expect(parseServerMessage(back)).toEqual(back);
  expect(parseServerMessage({ type: "voice", id: "SpeechT5" })).toEqual(back);
});

test.each([
  null,
  "latency",
  [],
  { type: "latency", turn: 1 },
  { type: "latency", turn: 1, stages: {}, total_ms: -4 },
  { type: "answer", id: "7" },
  { type: "answer", id: 1.5 },
  { type: "notice", text: "" },
  { type: "engine" },
  { type: "voice" },
  { type: "voice", id: "", fallback: true },
  { type: "from-the-future", id: 1 },
])("%j is not for this page", (data) => {
  expect(parseServerMessage(data)).toBeNull();
});
