import { expect, test } from "vitest";

import type { CallEvent } from "./events";
import { connected, IDLE, inCall, reduceStatus, type CallStatus } from "./phase";

function play(...events: CallEvent[]): CallStatus {
  return events.reduce(reduceStatus, IDLE);
}

const UP: CallEvent[] = [
  { kind: "opening", source: "microphone" },
  { kind: "connecting" },
  { kind: "connected", again: false },
];
const phases = (...events: CallEvent[]) =>
  events.map((_, i) => play(...UP, ...events.slice(0, i + 1)).phase);

test("a turn goes from hearing through thinking to speaking and back", () => {
  expect(
    phases({ kind: "user-started" }, { kind: "user-stopped" }, { kind: "bot-started" }, { kind: "bot-stopped" }),
  ).toEqual(["hearing", "thinking", "speaking", "listening"]);
});

test("a barge-in is heard at once, and the bot's late stop changes nothing", () => {
  expect(
    phases({ kind: "bot-started" }, { kind: "user-started" }, { kind: "bot-stopped" }, { kind: "user-stopped" }),
  ).toEqual(["speaking", "hearing", "hearing", "thinking"]);
});

test("a turn without an answer ends in listening", () => {
  expect(phases({ kind: "user-started" }, { kind: "user-stopped" }, { kind: "no-answer" }).at(-1)).toBe(
    "listening",
  );
});

test("talk that arrives when nobody is connected is ignored", () => {
  expect(play({ kind: "bot-started" }).phase).toBe("idle");
  const lost = play(...UP, { kind: "lost", attempt: 2, retryMs: 900 }, { kind: "bot-started" });
  expect(lost).toMatchObject({ phase: "reconnecting", retry: { attempt: 2, ms: 900 } });
});

test("an ended call keeps its reason until the next one", () => {
  const why = { kind: "server", ending: "busy", sentence: "all lines are busy" } as const;
  const ended = play(...UP, { kind: "ended", why });
  expect(ended).toMatchObject({ phase: "ended", why });
  expect(reduceStatus(ended, { kind: "opening", source: "sample" }).why).toBeNull();
});

test("which phases are a call, and which are connected", () => {
  expect(inCall("ended") || inCall("idle")).toBe(false);
  expect(inCall("reconnecting") && !connected("reconnecting")).toBe(true);
});
