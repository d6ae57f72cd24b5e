/**
 * `window.maata`: test hooks. Read-only figures for browser tests and for the curious at the
 * console; nothing on the page depends on them, and they may change with any version.
 */
import type { PlaybackReport } from "./audio/playback.worklet";
import type { LastStop } from "./call/call";
import type { CallState } from "./state/store";

export interface TestHooks {
  /** Phase, captions and latencies as the page shows them. */
  readonly state: CallState;
  /** Newest report of the playback worklet: buffered ms, underruns, level, energy; null before. */
  readonly playback: PlaybackReport | null;
  /** Energy (sum of squares) of everything played in this call; keeps its value after the end. */
  readonly playedEnergy: number;
  readonly bufferedMs: number;
  /** When playback was last cut by an interruption, and when it was silent, performance.now() ms. */
  readonly lastStop: LastStop | null;
  /** Loudest level of the caller's side so far, 0..1. */
  readonly loudestCaptured: number;
}

declare global {
  interface Window {
    maata: TestHooks;
  }
}

interface Sources {
  state: () => CallState;
  playback: () => PlaybackReport | null;
  lastStop: () => LastStop | null;
  loudestCaptured: () => number;
}

/** Put the hooks in place; each is read anew whenever it is asked for. */
export function exposeHooks(from: Sources): void {
  window.maata = {
    get state() {
      return from.state();
    },
    get playback() {
      return from.playback();
    },
    get playedEnergy() {
      return from.playback()?.energy ?? 0;
    },
    get bufferedMs() {
      return from.playback()?.bufferedMs ?? 0;
    },
    get lastStop() {
      return from.lastStop();
    },
    get loudestCaptured() {
      return from.loudestCaptured();
    },
  };
}
