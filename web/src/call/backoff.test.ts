import { expect, test } from "vitest";

import { backoffMs, MAX_ATTEMPTS } from "./backoff";

test("waits double up to eight seconds, then it gives up", () => {
  const waits = Array.from({ length: MAX_ATTEMPTS + 1 }, (_, i) => backoffMs(i + 1, () => 0.5));
  expect(waits).toEqual([500, 1000, 2000, 4000, 8000, 8000, 8000, 8000, null]);
});

test("chance moves a wait by a fifth at most", () => {
  expect(backoffMs(3, () => 0)).toBe(1600);
  expect(backoffMs(3, () => 1)).toBe(2400);
});
