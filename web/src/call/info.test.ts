import { expect, test } from "vitest";

import { parseInfo } from "./info";

const FULL = {
  name: "maata",
  version: "0.1.0",
  profile: "starter",
  starter: true,
  default_engine: "cascade",
  engines: [
    { id: "cascade", available: true, starter: true, models: { asr: "starter/asr", n: 3 } },
    { id: "s2s", available: false, reason: "not in this version" },
  ],
  voices: [{ id: "ravi", name: "Ravi", name_te: "రవి", description: "mature male" }],
  default_voice: "ravi",
  emotions: ["neutral", "happy", 9],
  default_emotion: "neutral",
  samples: [{ id: "a", text: "నమస్కారం", english: "Hello", url: "/samples/a.wav" }, { id: "b" }],
  token_required: true,
};

test("a full answer is read", () => {
  const info = parseInfo(FULL);
  expect(info).toMatchObject({ starter: true, defaultEngine: "cascade", tokenRequired: true });
  expect(info.engines[0]).toMatchObject({ available: true, models: { asr: "starter/asr" } });
  expect(info.engines[1]).toMatchObject({ available: false, reason: "not in this version" });
  expect(info.voices[0]?.nameTe).toBe("రవి");
  expect(info.emotions).toEqual(["neutral", "happy"]);
});

test("sample addresses are relative to the page, and a sample without one is left out", () => {
  expect(parseInfo(FULL).samples).toEqual([
    { id: "a", text: "నమస్కారం", english: "Hello", url: "samples/a.wav" },
  ]);
});

test("a bare answer gives empty lists, not errors", () => {
  expect(parseInfo({})).toMatchObject({ engines: [], voices: [], samples: [], starter: false });
});

test("something else is an error", () => {
  expect(() => parseInfo("<html>")).toThrow();
});
