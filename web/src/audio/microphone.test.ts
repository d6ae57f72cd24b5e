import { expect, test } from "vitest";

import { problemOf } from "./microphone";

test.each([
  ["NotAllowedError", "refused"],
  ["SecurityError", "insecure"],
  ["NotFoundError", "absent"],
  ["OverconstrainedError", "absent"],
  ["NotReadableError", "busy"],
  ["TypeError", "failed"],
])("%s is %s", (name, fault) => {
  expect(problemOf(new DOMException("", name))).toBe(fault);
});
