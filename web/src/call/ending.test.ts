import { expect, test } from "vitest";

import { endingKind, worthRetrying } from "./ending";

test.each([
  [4400, "bad", "choice", false],
  [4401, "bad", "token", false],
  [4403, "bad", "origin", false],
  [4408, "bad", "limit", false],
  [4429, "bad", "busy", false],
  [4503, "bad", "not-ready", true],
  [1000, "", "server", false],
  [0, "a fatal error", "server", false],
  [1006, "", "lost", true],
  [1012, "", "lost", true],
  [0, "", "lost", true],
])("code %i (%j) is %s", (code, sentence, kind, retry) => {
  expect(endingKind({ code, sentence })).toBe(kind);
  expect(worthRetrying({ code, sentence })).toBe(retry);
});
