/**
 * The jitter buffer between the network and the sound card: evens out late packets, falls silent at
 * once when told to, catches up after a stall, and counts what the ear would notice. It counts
 * samples at the sound card's rate and knows no clock, no network and no answer ids.
 *
 * The server sends in real time with one 40 ms chunk ahead, so a stall that refills as a burst would
 * stay as delay for the rest of the call: above `CATCH_UP_MS` quiet stretches are skipped.
 */

const START_MS = 60; // buffered before an answer starts: one chunk and a half
const STEP_MS = 20; // added after each underrun ...
const MAX_START_MS = 240; // ... up to this
const PATIENCE_MS = 1000; // audio that comes back within this was an underrun, not a new phrase
const CATCH_UP_MS = 200; // or twice what an answer starts with, where that is more
const CAP_MS = 30_000; // memory bound: beyond it the oldest audio goes
const FADE_SAMPLES = 128; // one render quantum: a cut without a click, over in under 3 ms
const QUIET = 0.003; // -50 dBFS

export interface JitterStats {
  /** Audio waiting, ms. */
  bufferedMs: number;
  /** Times the buffer ran dry in the middle of an answer. */
  underruns: number;
  /** True while samples of an answer are coming out. */
  playing: boolean;
}

export class JitterBuffer {
  private chunks: Float32Array[] = [];
  private head = 0; // samples already taken from chunks[0]
  private size = 0; // samples waiting
  private playing = false;
  private waited = 0; // samples of silence given out since the first waiting sample
  private dry = Infinity; // samples since the buffer ran dry in mid-answer
  private fade: Float32Array | null = null;
  private startMs = START_MS;
  private underruns = 0;

  /** `rate`: the sound card's, Hz. */
  constructor(private readonly rate: number) {}

  push(samples: Float32Array): void {
    if (samples.length === 0) return;
    if (this.dry < this.samples(PATIENCE_MS)) {
      this.underruns += 1;
      this.startMs = Math.min(MAX_START_MS, this.startMs + STEP_MS);
    }
    this.dry = Infinity;
    this.chunks.push(samples);
    this.size += samples.length;
    while (this.size > this.samples(CAP_MS)) this.discard(this.size - this.samples(CAP_MS));
  }

  /** A new answer begins: an empty buffer before its first sample is no underrun. */
  begin(): void {
    this.dry = Infinity;
  }

  /** Everything buffered goes; what is sounding fades within one render quantum. */
  drop(): void {
    if (this.playing && this.size > 0) {
      const rest = this.take(Math.min(FADE_SAMPLES, this.size));
      this.fade = rest.map((value, i) => value * (1 - (i + 1) / rest.length));
    }
    this.chunks = [];
    this.head = 0;
    this.size = 0;
    this.waited = 0;
    this.playing = false;
    this.dry = Infinity;
  }

  /** Fill `out` with the next samples, or silence. */
  pull(out: Float32Array): void {
    out.fill(0);
    if (this.fade) {
      out.set(this.fade.subarray(0, out.length));
      this.fade = this.fade.length > out.length ? this.fade.slice(out.length) : null;
      return;
    }
    if (!this.playing && !this.start(out.length)) return;
    if (this.size > this.samples(Math.max(CATCH_UP_MS, 2 * this.startMs))) this.skipQuiet(out.length);
    const block = this.take(Math.min(out.length, this.size));
    out.set(block);
    if (block.length < out.length) {
      this.playing = false;
      this.waited = 0;
      this.dry = 0;
    }
  }

  get stats(): JitterStats {
    return {
      bufferedMs: Math.round((this.size / this.rate) * 1000),
      underruns: this.underruns,
      playing: this.playing || this.fade !== null,
    };
  }

  /** Start once enough waits, or once the first of it has waited long enough (a short answer). */
  private start(pulled: number): boolean {
    if (this.dry !== Infinity) this.dry += pulled;
    if (this.size === 0) return false;
    const target = this.samples(this.startMs);
    this.playing = this.size >= target || this.waited >= target;
    this.waited += pulled;
    return this.playing;
  }

  /** Drop one quiet block: inaudible, and 3 ms of delay less. */
  private skipQuiet(length: number): void {
    const first = this.chunks[0]!.subarray(this.head, this.head + length);
    if (first.every((value) => Math.abs(value) < QUIET)) this.discard(first.length);
  }

  private take(count: number): Float32Array {
    const block = new Float32Array(count);
    let done = 0;
    while (done < count) {
      const chunk = this.chunks[0]!;
      const part = chunk.subarray(this.head, this.head + count - done);
      block.set(part, done);
      done += part.length;
      this.head += part.length;
      if (this.head === chunk.length) {
        this.chunks.shift();
        this.head = 0;
      }
    }
    this.size -= count;
    return block;
  }

  private discard(count: number): void {
    this.take(count);
  }

  private samples(ms: number): number {
    return Math.round((ms / 1000) * this.rate);
  }
}
