/** Everything that can happen in a call, as one union: the reducers beside this file read it. */
import type { EndingKind } from "../call/ending";
import type { ServerMessage } from "../call/messages";
import type { MicrophoneFault } from "../audio/microphone";

/** What the server's frames and messages say. */
export type TalkEvent =
  | { kind: "user-started" }
  | { kind: "user-stopped" }
  | { kind: "bot-started" }
  | { kind: "bot-stopped" }
  | { kind: "heard"; text: string; final: boolean }
  | { kind: "llm-started" }
  | { kind: "wrote"; text: string }
  | { kind: "segment"; id: number; text: string; said: string }
  | { kind: "said"; text: string }
  | { kind: "flush" }
  | { kind: "notice"; level: "info" | "warning"; text: string }
  | { kind: "server"; message: ServerMessage };

/** What happens to the call itself. */
export type LifeEvent =
  | { kind: "opening"; source: Source }
  | { kind: "connecting" }
  | { kind: "connected"; again: boolean }
  | { kind: "lost"; attempt: number; retryMs: number }
  | { kind: "ended"; why: EndReason }
  | { kind: "no-answer" };

export type CallEvent = TalkEvent | LifeEvent;

/** Who speaks the caller's side. */
export type Source = "microphone" | "sample";

export type EndReason =
  | { kind: "hung-up" }
  | { kind: "microphone"; fault: MicrophoneFault }
  | { kind: "server"; ending: EndingKind; sentence: string };
