import { expect, test } from "vitest";

import { AnswerGate } from "./gate";

test("a server that names no answers is never refused", () => {
  const gate = new AnswerGate();
  expect(gate.open).toBe(true);
  expect(gate.interrupt()).toBe(true);
  expect(gate.open).toBe(true);
});

test("between an interruption and the next answer nothing is let through", () => {
  const gate = new AnswerGate();
  gate.begin(1);
  gate.interrupt();
  expect(gate.open).toBe(false);
  gate.begin(2);
  expect(gate.open).toBe(true);
});

test("an older or repeated answer does not open it", () => {
  const gate = new AnswerGate();
  gate.begin(5);
  gate.interrupt(5);
  expect(gate.begin(4)).toBe(false);
  expect(gate.begin(5)).toBe(false);
  expect(gate.open).toBe(false);
});

test("news of an older answer's interruption leaves the current one alone", () => {
  const gate = new AnswerGate();
  gate.begin(1);
  gate.begin(2);
  expect(gate.interrupt(1)).toBe(false);
  expect(gate.open).toBe(true);
});

test("an answer interrupted before it was announced stays refused", () => {
  const gate = new AnswerGate();
  gate.begin(1);
  expect(gate.interrupt(2)).toBe(true);
  expect(gate.begin(2)).toBe(false);
  expect(gate.open).toBe(false);
});

test("a new call counts again from the start", () => {
  const gate = new AnswerGate();
  gate.begin(9);
  gate.interrupt();
  gate.reset();
  expect(gate.open).toBe(true);
  expect(gate.begin(1)).toBe(true);
});
