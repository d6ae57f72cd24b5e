/** The latency of each turn with its stages, newest last. A pure reducer. */
import { STAGES, type Stage } from "../call/messages";
import type { CallEvent } from "./events";

export const KEPT = 50;

export interface Turn {
  turn: number;
  totalMs: number;
  stages: Partial<Record<Stage, number>>;
}

export function reduceLatency(turns: Turn[], event: CallEvent): Turn[] {
  if (event.kind === "opening") return [];
  if (event.kind !== "server" || event.message.type !== "latency") return turns;
  const { turn, totalMs, stages } = event.message;
  return [...turns, { turn, totalMs, stages }].slice(-KEPT);
}

/** Median of the totals, ms; null without turns. */
export function medianMs(turns: Turn[]): number | null {
  if (turns.length === 0) return null;
  const sorted = turns.map((turn) => turn.totalMs).sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export interface Block {
  /** `rest`: part of the total that no stage accounts for. */
  stage: Stage | "rest";
  startMs: number;
  ms: number;
}

/** A turn's stages laid end to end, in the order they happen. */
export function blocks(turn: Turn): Block[] {
  const laid: Block[] = [];
  let at = 0;
  for (const stage of STAGES) {
    const ms = turn.stages[stage] ?? 0;
    if (ms > 0) laid.push({ stage, startMs: at, ms });
    at += ms;
  }
  if (turn.totalMs - at >= 1) laid.push({ stage: "rest", startMs: at, ms: turn.totalMs - at });
  return laid;
}
