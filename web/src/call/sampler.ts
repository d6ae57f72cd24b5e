/**
 * The sample caller: says shipped recordings as if a person spoke, waits for each answer, and can be
 * told to cut in. For visitors without a microphone or without Telugu. Knows no network.
 */
import type { Sound } from "../audio/device";
import type { CallEvent } from "../state/events";
import type { SampleInfo } from "./info";

const POLL_MS = 50;
const GREETING_MS = 1500; // long enough to notice that the bot greets first
const ANSWER_MS = 15_000;
const PAUSE_MS = 900; // a caller's breath between an answer and the next question

export interface SampleProgress {
  /** Index of the sample being said, null between samples. */
  saying: number | null;
  /** Indices said so far. */
  said: ReadonlySet<number>;
}

export class SampleCaller {
  private readonly recordings = new Map<number, AudioBuffer>();
  private readonly said = new Set<number>();
  private asked: number | null = null; // a sample someone tapped
  private botSpeaking = false;
  private botStarts = 0;
  private stopped = false;

  constructor(
    private readonly samples: SampleInfo[],
    private readonly sound: Sound,
    private readonly quiet: () => boolean, // nothing left in the playback buffer
    private readonly changed: (progress: SampleProgress) => void,
  ) {}

  /** Fetch and decode every recording; throws when one cannot be. */
  async load(): Promise<void> {
    const loaded = await Promise.all(this.samples.map((sample) => this.sound.load(sample.url)));
    loaded.forEach((recording, i) => this.recordings.set(i, recording));
  }

  /** Say all samples in order, then whatever is tapped, until stopped. */
  async run(): Promise<void> {
    await this.until(() => this.botStarts > 0, GREETING_MS);
    await this.until(() => this.restful(), ANSWER_MS);
    while (!this.stopped) {
      const next = this.takeNext();
      if (next === null) {
        await this.until(() => this.asked !== null, POLL_MS * 4);
        continue;
      }
      const startsBefore = this.botStarts;
      await this.say(next);
      await this.until(() => this.asked !== null || this.botStarts > startsBefore, ANSWER_MS);
      await this.until(() => this.asked !== null || this.restful(), ANSWER_MS * 4);
      await this.until(() => this.asked !== null, PAUSE_MS);
    }
  }

  /** Say sample `index` now, cutting in if the bot is speaking. */
  sayNow(index: number): void {
    this.asked = index;
    this.sound.hush();
  }

  /** Cut in with the next sample (the first again after the last). */
  interrupt(): void {
    const next = this.samples.findIndex((_, i) => !this.said.has(i));
    this.sayNow(Math.max(0, next));
  }

  stop(): void {
    this.stopped = true;
    this.sound.hush();
  }

  heard(event: CallEvent): void {
    if (event.kind === "bot-started") {
      this.botSpeaking = true;
      this.botStarts += 1;
    } else if (event.kind === "bot-stopped" || event.kind === "flush" || event.kind === "lost") {
      this.botSpeaking = false;
    }
  }

  private takeNext(): number | null {
    const asked = this.asked;
    this.asked = null;
    if (asked !== null) return asked;
    const next = this.samples.findIndex((_, i) => !this.said.has(i));
    return next === -1 ? null : next;
  }

  private async say(index: number): Promise<void> {
    const recording = this.recordings.get(index);
    this.said.add(index);
    if (!recording) return;
    this.changed({ saying: index, said: this.said });
    await this.sound.say(recording);
    this.changed({ saying: null, said: this.said });
  }

  private restful(): boolean {
    return !this.botSpeaking && this.quiet();
  }

  private async until(condition: () => boolean, limitMs: number): Promise<void> {
    const deadline = performance.now() + limitMs;
    while (!this.stopped && !condition() && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }
}
