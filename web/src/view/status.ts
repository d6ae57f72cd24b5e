/** The state line, the clock, the bar's buttons, and what a screen reader is told. */
import { botText, type Caption } from "../state/captions";
import type { CallState } from "../state/store";
import { connected, inCall, type CallStatus } from "../state/phase";
import { isWord, say } from "../words/words";
import { byId } from "./dom";

export interface BarState {
  status: CallStatus;
  muted: boolean;
  /** May a call start now (server ready, engine there)? */
  callable: boolean;
  /** May the sample caller start now? */
  samples: boolean;
}

export function renderStatus({ status, muted, callable, samples }: BarState): void {
  const { phase, source, retry, engine } = status;
  byId("state").dataset["phase"] = phase;
  const opening = phase === "opening" && source === "sample";
  byId("status").textContent = say(opening ? "openingSample" : phase);
  const retryWords = retry && say("retryIn", { attempt: retry.attempt, seconds: Math.ceil(retry.ms / 1000) });
  const mutedNow = muted && connected(phase) && source === "microphone";
  byId("status-more").textContent = retryWords || (mutedNow ? say("mutedNow") : connected(phase) ? engineName(engine) : "");

  const live = inCall(phase);
  const call = byId<HTMLButtonElement>("call");
  call.classList.toggle("live", live);
  call.disabled = !live && !callable;
  byId("call-word").textContent = say(live ? "hangUp" : "call");

  const mute = byId<HTMLButtonElement>("mute");
  mute.disabled = !live || source === "sample";
  mute.setAttribute("aria-pressed", String(muted));
  byId("mute-word").textContent = say(muted ? "unmute" : "mute");
  byId("mute-icon").setAttribute("href", muted ? "#i-mic-off" : "#i-mic");

  const sample = byId<HTMLButtonElement>("sample");
  const cutting = live && source === "sample";
  sample.disabled = cutting ? phase !== "speaking" : live || !callable || !samples;
  sample.title = !live && !samples ? say("sampleNone") : "";
  sample.classList.toggle("cutting", cutting && phase === "speaking");
  byId("sample-word").textContent = say(cutting ? "interrupt" : "sample");
  byId("sample-icon").setAttribute("href", cutting ? "#i-hand" : "#i-play");
}

/** An engine as people read it; its id where the page has no word for it. */
export function engineName(id: string): string {
  const key = `engine.${id}`;
  return isWord(key) ? say(key) : id;
}

/** Minutes and seconds of the running call, kept going until told to stop. */
export class Clock {
  private readonly face = byId<HTMLTimeElement>("clock");
  private startedAt: number | null = null;

  constructor() {
    setInterval(() => this.show(), 500);
  }

  start(): void {
    this.startedAt ??= performance.now();
    this.face.hidden = false;
    this.show();
  }

  /** Stop counting; the last value stays to be read. */
  stop(): void {
    this.startedAt = null;
  }

  reset(): void {
    this.startedAt = null;
    this.face.hidden = true;
  }

  private show(): void {
    if (this.startedAt === null) return;
    const seconds = Math.floor((performance.now() - this.startedAt) / 1000);
    const text = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    if (this.face.textContent !== text) this.face.textContent = text;
    this.face.dateTime = `PT${seconds}S`;
    this.face.setAttribute("aria-label", `${say("duration")} ${text}`);
  }
}

/** Tell a screen reader, politely: the words replace whatever was waiting. */
export function announce(text: string): void {
  byId("announce").textContent = text;
}

/** Phases worth saying; listening and speaking alternate too often and are heard anyway. */
export function announcePhase(state: CallState, before: CallState): void {
  const { phase } = state.status;
  if (phase === before.status.phase) return;
  const cameUp = phase === "listening" && !connected(before.status.phase);
  if (cameUp || ["connecting", "reconnecting", "ended"].includes(phase)) announce(say(phase));
}

/** Read finished captions out once, in order (a bot's when its answer is over). */
export class CaptionReader {
  private readonly read = new Set<number>();

  constructor(private readonly names: { user: () => string; bot: () => string }) {}

  update(captions: Caption[]): void {
    if (captions.length === 0) this.read.clear();
    for (const caption of captions) {
      if (caption.side === "note" || caption.open || this.read.has(caption.key)) continue;
      this.read.add(caption.key);
      const line = document.createElement("p");
      const words = caption.side === "user" ? caption.text : botText(caption).said;
      const cut = caption.side === "bot" && caption.cutAt !== null ? ` (${say("interrupted")})` : "";
      const name = caption.side === "user" ? this.names.user() : this.names.bot();
      line.append(`${name}${cut}: `, Object.assign(document.createElement("span"), { lang: "te", textContent: words }));
      byId("spoken").append(line);
      if (byId("spoken").childElementCount > 20) byId("spoken").firstElementChild?.remove();
    }
  }
}
