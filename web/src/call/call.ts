/**
 * One call from ringing to hanging up: sound, line, the gate that refuses old answers, and dialling
 * again when the line breaks. Tells what happens as events; draws nothing.
 */
import { AnswerGate } from "../audio/gate";
import { MicrophoneProblem } from "../audio/microphone";
import type { Sound } from "../audio/device";
import type { CallEvent, EndReason, Source, TalkEvent } from "../state/events";
import { backoffMs } from "./backoff";
import { endingKind, worthRetrying, type Ending } from "./ending";
import { Line, LineRefused } from "./line";

const NO_ANSWER_MS = 8000; // a turn the server heard as noise ends without an answer

export interface DialPlan {
  /** Address of the socket with the choices of this moment. */
  url: () => string;
  microphoneId: () => string;
}

/** When playback was last cut, on the page's clock (ms); a test hook and a figure to watch. */
export interface LastStop {
  orderedAt: number;
  silentAt: number | null;
}

export class Call {
  lastStop: LastStop | null = null;
  private line: Line | null = null;
  private readonly gate = new AnswerGate();
  private serial = 0; // grows with every start and hang-up: older async work then stops
  private attempt = 0;
  private waiting: ReturnType<typeof setTimeout> | undefined;
  private noAnswer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly sound: Sound,
    private readonly plan: DialPlan,
    private readonly tell: (event: CallEvent) => void,
  ) {}

  /** Start a call; from a click, so that the browser lets sound begin. */
  async start(source: Source): Promise<void> {
    const serial = ++this.serial;
    this.attempt = 0;
    this.lastStop = null;
    this.tell({ kind: "opening", source });
    try {
      await this.sound.open();
      if (source === "microphone") await this.sound.useMicrophone(this.plan.microphoneId());
    } catch (error) {
      if (serial !== this.serial) return;
      const fault = error instanceof MicrophoneProblem ? error.fault : "failed";
      await this.finish({ kind: "microphone", fault });
      return;
    }
    if (serial !== this.serial) return;
    this.tell({ kind: "connecting" });
    await this.dial(serial, false);
  }

  async hangUp(): Promise<void> {
    await this.finish({ kind: "hung-up" });
  }

  /** Voice and emotion from the next answer on. */
  setVoice(voice: string, emotion: string): void {
    this.line?.setVoice(voice, emotion);
  }

  /** A packet of the caller's side. */
  capture(pcm: Int16Array<ArrayBuffer>): void {
    this.line?.capture(pcm);
  }

  /** The playback's own word that it is silent: completes `lastStop`. */
  heardLevel(level: number, playing: boolean): void {
    // While the cut's fade is still to come, a level of 0 is only the pause before it.
    if (this.lastStop && this.lastStop.silentAt === null && !playing && level < 0.001) {
      this.lastStop.silentAt = performance.now();
    }
  }

  private async dial(serial: number, again: boolean): Promise<void> {
    this.gate.reset();
    const line: Line = new Line({
      talk: (event) => this.line === line && this.talk(event),
      audio: (pcm) => {
        if (this.line === line && this.gate.open) this.sound.play(pcm);
      },
      closed: (ending) => this.line === line && this.broke(serial, ending, true),
    });
    this.line = line;
    try {
      await line.connect(this.plan.url());
    } catch (error) {
      const ending = error instanceof LineRefused ? error.ending : { code: 0, sentence: "" };
      if (serial === this.serial) this.broke(serial, ending, again);
      return;
    }
    if (serial !== this.serial) return;
    this.attempt = 0;
    this.tell({ kind: "connected", again });
  }

  /** The line ended by itself: dial again where that may help, else the call is over. */
  private broke(serial: number, ending: Ending, again: boolean): void {
    this.line = null;
    this.sound.drop();
    clearTimeout(this.noAnswer);
    const retryMs = again && worthRetrying(ending) ? backoffMs(++this.attempt) : null;
    if (retryMs === null) {
      void this.finish({ kind: "server", ending: endingKind(ending), sentence: ending.sentence });
      return;
    }
    this.tell({ kind: "lost", attempt: this.attempt, retryMs });
    this.waiting = setTimeout(() => {
      if (serial === this.serial) void this.dial(serial, true);
    }, retryMs);
  }

  private async finish(why: EndReason): Promise<void> {
    this.serial += 1;
    clearTimeout(this.waiting);
    clearTimeout(this.noAnswer);
    const line = this.line;
    this.line = null;
    this.tell({ kind: "ended", why });
    await line?.hangUp();
    await this.sound.close();
  }

  private talk(event: TalkEvent): void {
    if (event.kind === "flush") this.silence();
    else if (event.kind === "server") this.obey(event);
    else if (event.kind === "user-stopped") {
      this.noAnswer = setTimeout(() => this.tell({ kind: "no-answer" }), NO_ANSWER_MS);
    } else if (event.kind === "bot-started" || event.kind === "user-started") {
      clearTimeout(this.noAnswer);
    }
    this.tell(event);
  }

  private obey({ message }: Extract<TalkEvent, { kind: "server" }>): void {
    if (message.type === "answer" && this.gate.begin(message.id)) this.sound.begin();
    if (message.type === "interrupted") this.silence(message.id);
  }

  private silence(id?: number): void {
    if (!this.gate.interrupt(id)) return;
    this.sound.drop();
    this.lastStop = { orderedAt: performance.now(), silentAt: null };
  }
}
