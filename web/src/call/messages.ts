/**
 * The server's own messages (RTVI `server-message`), parsed once at the edge into typed events.
 * What does not fit is dropped: an older page must survive a newer server.
 */

export const STAGES = [
  "endpointing_ms",
  "asr_ms",
  "llm_first_token_ms",
  "first_clause_ms",
  "tts_first_audio_ms",
  "answer_ms", // of the speech-to-speech engine, which has no stages
] as const;
export type Stage = (typeof STAGES)[number];

export type ServerMessage =
  | { type: "latency"; turn: number; stages: Partial<Record<Stage, number>>; totalMs: number }
  | { type: "answer"; id: number }
  | { type: "engine"; id: string; reason: string }
  | { type: "interrupted"; id: number | undefined; spoken: string }
  | { type: "voice"; id: string; fallback: boolean; reason: string }
  | { type: "notice"; level: "info" | "warning"; text: string };

/** One server message, or null when it is not one this page knows. */
export function parseServerMessage(data: unknown): ServerMessage | null {
  if (!isRecord(data)) return null;
  switch (data["type"]) {
    case "latency":
      return parseLatency(data);
    case "answer":
      return isId(data["id"]) ? { type: "answer", id: data["id"] } : null;
    case "engine":
      return text(data["id"]) === ""
        ? null
        : { type: "engine", id: text(data["id"]), reason: text(data["reason"]) };
    case "interrupted":
      return {
        type: "interrupted",
        id: isId(data["id"]) ? data["id"] : undefined,
        spoken: text(data["spoken"]),
      };
    case "voice":
      return text(data["id"]) === ""
        ? null
        : {
            type: "voice",
            id: text(data["id"]),
            fallback: data["fallback"] === true,
            reason: text(data["reason"]),
          };
    case "notice": {
      const level = data["level"] === "warning" ? "warning" : "info";
      return text(data["text"]) === "" ? null : { type: "notice", level, text: text(data["text"]) };
    }
    default:
      return null;
  }
}

function parseLatency(data: Record<string, unknown>): ServerMessage | null {
  const { turn, stages, total_ms: totalMs } = data;
  if (!isId(turn) || !isDuration(totalMs)) return null;
  const known: Partial<Record<Stage, number>> = {};
  for (const stage of STAGES) {
    const value = isRecord(stages) ? stages[stage] : undefined;
    if (isDuration(value)) known[stage] = value;
  }
  return { type: "latency", turn, stages: known, totalMs };
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isId(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0;
}

function isDuration(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value) && value >= 0;
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}
