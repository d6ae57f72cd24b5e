/** Where a call stands, in one word. A pure reducer: no clocks, no sound. */
import type { CallEvent, EndReason, Source } from "./events";

export type Phase =
  | "idle"
  | "opening" // asking for the microphone
  | "connecting"
  | "listening"
  | "hearing" // the caller speaks
  | "thinking"
  | "speaking" // the bot speaks
  | "reconnecting"
  | "ended";

export interface CallStatus {
  phase: Phase;
  source: Source;
  /** Which engine answers, once the server has said so; "" before. */
  engine: string;
  /** While reconnecting: which attempt comes next, and in how many ms. */
  retry: { attempt: number; ms: number } | null;
  /** After the end: why. */
  why: EndReason | null;
}

export const IDLE: CallStatus = { phase: "idle", source: "microphone", engine: "", retry: null, why: null };

/** Is there a line (or the attempt to have one) that can be hung up? */
export function inCall(phase: Phase): boolean {
  return phase !== "idle" && phase !== "ended";
}

/** Are the two sides connected right now? */
export function connected(phase: Phase): boolean {
  return phase === "listening" || phase === "hearing" || phase === "thinking" || phase === "speaking";
}

export function reduceStatus(status: CallStatus, event: CallEvent): CallStatus {
  if (event.kind === "server" && event.message.type === "engine") {
    return { ...status, engine: event.message.id };
  }
  switch (event.kind) {
    case "opening":
      return { ...IDLE, phase: "opening", source: event.source };
    case "connecting":
      return { ...status, phase: "connecting" };
    case "connected":
      return { ...status, phase: "listening", retry: null };
    case "lost":
      return { ...status, phase: "reconnecting", retry: { attempt: event.attempt, ms: event.retryMs } };
    case "ended":
      return { ...status, phase: "ended", retry: null, why: event.why };
    default:
      return connected(status.phase) ? reduceTalk(status, event) : status;
  }
}

function reduceTalk(status: CallStatus, event: CallEvent): CallStatus {
  switch (event.kind) {
    case "user-started":
      return { ...status, phase: "hearing" };
    case "user-stopped":
      return status.phase === "hearing" ? { ...status, phase: "thinking" } : status;
    case "bot-started":
      return { ...status, phase: "speaking" };
    case "bot-stopped":
      return status.phase === "speaking" ? { ...status, phase: "listening" } : status;
    case "no-answer":
      return status.phase === "thinking" ? { ...status, phase: "listening" } : status;
    default:
      return status;
  }
}
