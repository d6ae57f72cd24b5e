/**
 * The captions of both sides, from the events of a call. A pure reducer: what is shown while it is
 * being spoken, what was cut off, what belongs to which answer. Knows nothing about how it looks.
 */
import type { CallEvent } from "./events";

export interface UserCaption {
  side: "user";
  key: number;
  /** Words the recogniser has committed. */
  text: string;
  /** Words it is still guessing at. */
  interim: string;
  open: boolean;
}

export interface BotCaption {
  side: "bot";
  key: number;
  /** The answer's id, null when the server does not name its answers. */
  answer: number | null;
  /** What the language model wrote, spoken or not. */
  written: string;
  /** Clauses on their way through the synthesizer. */
  segments: { id: number; text: string; said: string }[];
  /** Words as they are spoken, when the synthesizer marks them. */
  words: string;
  open: boolean;
  /** Set when the caller interrupted: what had been spoken by then. */
  cutAt: string | null;
}

export interface NoteCaption {
  side: "note";
  key: number;
  note: "reconnected";
}

export type Caption = UserCaption | BotCaption | NoteCaption;

export interface Captions {
  list: Caption[];
  nextKey: number;
  /**
   * The answer that text now belongs to: its id; "unnamed" while the model already writes but the
   * server has not named it (that comes with its first sound); "none" after an interruption.
   */
  answer: number | "none" | "unnamed";
}

export const NO_CAPTIONS: Captions = { list: [], nextKey: 1, answer: "unnamed" };

export function reduceCaptions(captions: Captions, event: CallEvent): Captions {
  switch (event.kind) {
    case "opening":
      return NO_CAPTIONS;
    case "connected":
      return event.again ? add(closeAll(captions), { side: "note", note: "reconnected" }) : captions;
    case "lost":
    case "ended":
      return closeAll(captions);
    case "user-started":
      return closeUser(captions);
    case "heard":
      return heard(captions, event.text.trim(), event.final);
    case "llm-started":
      return { ...closeBots(closeUser(captions)), answer: "unnamed" };
    case "wrote":
      return changeBot(captions, (bot) => ({ ...bot, written: bot.written + event.text }));
    case "segment":
      return changeBot(captions, (bot) => ({ ...bot, segments: withSegment(bot.segments, event) }));
    case "said":
      return changeBot(captions, (bot) => ({ ...bot, words: join([bot.words, event.text]) }));
    case "server":
      if (event.message.type === "answer") return named(captions, event.message.id);
      if (event.message.type === "interrupted") {
        return interrupted(captions, event.message.id, event.message.spoken);
      }
      return captions;
    default:
      return captions;
  }
}

/** A bot caption as it is read: what was spoken, and what is still to be (or never was) spoken. */
export function botText(caption: BotCaption): { said: string; rest: string } {
  const spoken = caption.words || join(caption.segments.map((segment) => segment.said));
  const clauses = join(caption.segments.map((segment) => segment.text));
  const all = caption.written.trim() || clauses || spoken;
  if (caption.cutAt !== null) {
    const said = caption.cutAt.trim();
    return { said, rest: remainder(all, said) };
  }
  // Clauses may be spoken in other words than written (numbers, dates): then written wins.
  if (!caption.open) return { said: all, rest: "" };
  return { said: spoken, rest: remainder(all, spoken) };
}

/** What is left of `all` after `said`, spaces ignored; nothing where other words were spoken. */
function remainder(all: string, said: string): string {
  if (said === "") return all;
  let i = 0;
  for (const letter of said.replace(/\s+/g, "")) {
    while (i < all.length && /\s/.test(all[i]!)) i += 1;
    if (!all.startsWith(letter, i)) return "";
    i += letter.length;
  }
  return all.slice(i).trim();
}

function heard(captions: Captions, text: string, final: boolean): Captions {
  if (text === "") return captions;
  const last = captions.list.findLast((caption) => caption.side === "user");
  if (!last?.open) {
    const fresh = final ? { text, interim: "" } : { text: "", interim: text };
    return add(captions, { side: "user", open: true, ...fresh });
  }
  const changed = final
    ? { ...last, text: join([last.text, text]), interim: "" }
    : { ...last, interim: text };
  return replace(captions, changed);
}

/** The answer being written gets its id; without one (a greeting, an apology) a new one begins. */
function named(captions: Captions, id: number): Captions {
  if (captions.answer === "unnamed") {
    const list = captions.list.map((caption) =>
      caption.side === "bot" && caption.open ? { ...caption, answer: id } : caption,
    );
    return { ...captions, list, answer: id };
  }
  return captions.answer === id ? captions : { ...closeBots(closeUser(captions)), answer: id };
}

function interrupted(captions: Captions, id: number | undefined, spoken: string): Captions {
  const target = captions.list.findLast(
    (caption): caption is BotCaption =>
      caption.side === "bot" && (id === undefined ? caption.open : caption.answer === id),
  );
  const current = typeof captions.answer !== "number" || id === undefined || id >= captions.answer;
  const rest: Captions = current ? { ...captions, answer: "none" } : captions;
  return target ? replace(rest, { ...target, open: false, cutAt: spoken }) : rest;
}

function changeBot(captions: Captions, change: (bot: BotCaption) => BotCaption): Captions {
  if (captions.answer === "none") return captions; // late text of an interrupted answer
  const last = captions.list.findLast((caption) => caption.side === "bot");
  if (last?.open) return replace(captions, change(last));
  const fresh: BotCaption = {
    side: "bot",
    key: captions.nextKey,
    answer: typeof captions.answer === "number" ? captions.answer : null,
    written: "",
    segments: [],
    words: "",
    open: true,
    cutAt: null,
  };
  return {
    ...captions,
    list: [...closeUser(captions).list, change(fresh)],
    nextKey: captions.nextKey + 1,
  };
}

function withSegment(
  segments: BotCaption["segments"],
  { id, text, said }: { id: number; text: string; said: string },
): BotCaption["segments"] {
  const known = segments.findIndex((segment) => segment.id === id);
  return known === -1 ? [...segments, { id, text, said }] : segments.with(known, { id, text, said });
}

/** A user caption ends when the next turn begins; guesses that were never confirmed stay as said. */
function closeUser(captions: Captions): Captions {
  const list = captions.list.map((caption) =>
    caption.side === "user" && caption.open
      ? { ...caption, open: false, text: caption.text || caption.interim, interim: "" }
      : caption,
  );
  return { ...captions, list };
}

function closeBots(captions: Captions): Captions {
  const list = captions.list.map((caption) =>
    caption.side === "bot" && caption.open ? { ...caption, open: false } : caption,
  );
  return { ...captions, list };
}

function closeAll(captions: Captions): Captions {
  return { ...closeBots(closeUser(captions)), answer: "unnamed" };
}

type Fresh<T> = T extends Caption ? Omit<T, "key"> : never;

function add(captions: Captions, caption: Fresh<Caption>): Captions {
  const keyed = { ...caption, key: captions.nextKey } as Caption;
  return { ...captions, list: [...captions.list, keyed], nextKey: captions.nextKey + 1 };
}

function replace(captions: Captions, changed: Caption): Captions {
  const list = captions.list.map((caption) => (caption.key === changed.key ? changed : caption));
  return { ...captions, list };
}

function join(parts: string[]): string {
  return parts
    .map((part) => part.trim())
    .filter((part) => part !== "")
    .join(" ");
}
