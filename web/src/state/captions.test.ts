import { describe, expect, test } from "vitest";

import { botText, NO_CAPTIONS, reduceCaptions, type BotCaption, type Captions } from "./captions";
import type { CallEvent } from "./events";

const answer = (id: number): CallEvent => ({ kind: "server", message: { type: "answer", id } });
const cut = (id: number | undefined, spoken: string): CallEvent => ({
  kind: "server",
  message: { type: "interrupted", id, spoken },
});
const guess = (text: string): CallEvent => ({ kind: "heard", text, final: false });
const final = (text: string): CallEvent => ({ kind: "heard", text, final: true });
const wrote = (text: string): CallEvent => ({ kind: "wrote", text });
const segment = (id: number, text: string, said: string): CallEvent => ({
  kind: "segment",
  id,
  text,
  said,
});
const started: CallEvent = { kind: "user-started" };
const thinking: CallEvent = { kind: "llm-started" };

function play(...events: CallEvent[]): Captions {
  return events.reduce(reduceCaptions, NO_CAPTIONS);
}

/** Captions as a reader sees them. */
function lines(captions: Captions): string[] {
  return captions.list.map((caption) => {
    if (caption.side === "note") return `-- ${caption.note}`;
    if (caption.side === "user") return `user: ${caption.text}[${caption.interim}]`;
    const { said, rest } = botText(caption);
    return `bot ${caption.answer}: ${said}[${rest}]${caption.cutAt === null ? "" : " CUT"}`;
  });
}

describe("the caller", () => {
  test("guesses are replaced, then committed", () => {
    expect(lines(play(started, guess("నా"), guess("నా పేరు")))).toEqual(["user: [నా పేరు]"]);
    expect(lines(play(started, guess("నా"), final("నా పేరు రాధ")))).toEqual(["user: నా పేరు రాధ[]"]);
  });

  test("a turn in two parts is one line", () => {
    expect(lines(play(started, final("ఒకటి"), guess("రె"), final("రెండు")))).toEqual([
      "user: ఒకటి రెండు[]",
    ]);
  });

  test("each turn is its own line, also without an answer between", () => {
    expect(lines(play(started, final("ఒకటి"), started, final("రెండు")))).toHaveLength(2);
  });

  test("empty transcripts leave no line", () => {
    expect(play(started, guess(" "), final("")).list).toEqual([]);
  });
});

describe("the agent", () => {
  test("text written before the answer is named belongs to it", () => {
    const captions = play(thinking, wrote("సరే "), answer(1), wrote("అండి"));
    expect(lines(captions)).toEqual(["bot 1: [సరే అండి]"]);
  });

  test("spoken clauses become strong, the rest stays pale", () => {
    const captions = play(thinking, wrote("సరే అండి. ఇంకా?"), answer(1), segment(1, "సరే అండి.", "సరే అండి."));
    expect(lines(captions)).toEqual(["bot 1: సరే అండి.[ఇంకా?]"]);
  });

  test("a clause in progress is split where the voice is", () => {
    const captions = play(answer(1), segment(1, "సరే అండి", ""), segment(1, "సరే అండి", "సరే"));
    expect(lines(captions)).toEqual(["bot 1: సరే[అండి]"]);
  });

  test("words are marked one by one as they are spoken", () => {
    const words = ["కిలో", "₹40,"].map((text): CallEvent => ({ kind: "said", text }));
    const clause = segment(1, "కిలో ₹40, అండి.", "");
    expect(lines(play(thinking, wrote("కిలో ₹40, అండి."), answer(1), clause, ...words))).toEqual([
      "bot 1: కిలో ₹40,[అండి.]",
    ]);
  });

  test("a second turn never writes into the first answer", () => {
    const captions = play(
      ...[thinking, wrote("ఒకటి"), answer(1), segment(1, "ఒకటి", "ఒకటి")],
      ...[started, final("మరి?"), thinking, wrote("రెండు"), answer(2)],
    );
    expect(lines(captions)).toEqual(["bot 1: ఒకటి[]", "user: మరి?[]", "bot 2: [రెండు]"]);
  });

  test("a greeting without a language model is an answer too", () => {
    expect(lines(play(answer(1), segment(1, "నమస్కారం", "నమస్కారం"), answer(2), segment(2, "ఆ", "ఆ")))).toEqual([
      "bot 1: నమస్కారం[]",
      "bot 2: ఆ[]",
    ]);
  });

  test("a finished answer is shown as written, whatever words were spoken for it", () => {
    const captions = play(thinking, wrote("₹40"), answer(1), segment(1, "నలభై", "నలభై"), thinking);
    expect(lines(captions)).toEqual(["bot 1: ₹40[]"]);
  });
});

describe("interruptions", () => {
  const interrupted = [
    ...[thinking, wrote("ఒకటి రెండు మూడు"), answer(7), segment(1, "ఒకటి రెండు", "ఒకటి రెండు")],
    ...[started, cut(7, "ఒకటి")],
  ];

  test("the line is cut where the voice stopped", () => {
    expect(lines(play(...interrupted))).toEqual(["bot 7: ఒకటి[రెండు మూడు] CUT"]);
  });

  test("late text of the old answer is dropped until the next begins", () => {
    const captions = play(...interrupted, wrote("నాలుగు"), segment(2, "మూడు", "మూడు"));
    expect(lines(captions)).toEqual(["bot 7: ఒకటి[రెండు మూడు] CUT"]);
    const next = [final("ఆగు"), thinking, wrote("సరే"), answer(8)].reduce(reduceCaptions, captions);
    expect(lines(next).slice(1)).toEqual(["user: ఆగు[]", "bot 8: [సరే]"]);
  });

  test("news that comes after the next answer began still marks the old one", () => {
    const captions = play(answer(1), segment(1, "ఒకటి", "ఒకటి"), answer(2), segment(2, "రెండు", ""), cut(1, ""));
    expect(lines(captions)).toEqual(["bot 1: [ఒకటి] CUT", "bot 2: [రెండు]"]);
    expect(lines(reduceCaptions(captions, segment(2, "రెండు", "రెండు"))).at(-1)).toBe("bot 2: రెండు[]");
  });

  test("of an answer that never made a sound leaves nothing to mark", () => {
    expect(lines(play(started, final("హలో"), cut(1, "")))).toEqual(["user: హలో[]"]);
  });
});

test("a lost line closes what is open, and coming back says so", () => {
  const captions = play(
    ...[thinking, wrote("ఒకటి"), answer(3)],
    { kind: "lost", attempt: 1, retryMs: 500 },
    { kind: "connected", again: true },
    ...[answer(1), segment(1, "రెండు", "రెండు")],
  );
  expect(lines(captions)).toEqual(["bot 3: ఒకటి[]", "-- reconnected", "bot 1: రెండు[]"]);
  expect((captions.list[0] as BotCaption).open).toBe(false);
});

test("a new call starts with an empty page", () => {
  expect(play(started, final("హలో"), { kind: "opening", source: "microphone" }).list).toEqual([]);
});
