/**
 * Runs on the audio thread: 24 kHz 16-bit packets in, the sound card's rate out, through the jitter
 * buffer. Reports level, buffered ms, underruns and played energy about 30 times a second.
 */
import { JitterBuffer, type JitterStats } from "./jitter";
import { rms, toFloat } from "./pcm";
import { Resampler } from "./resample";

const WIRE_RATE = 24_000;
const REPORTS_PER_SECOND = 30;

export type PlaybackOrder =
  | { kind: "audio"; pcm: Int16Array<ArrayBuffer> }
  | { kind: "begin" }
  | { kind: "drop" };

export interface PlaybackReport extends JitterStats {
  /** Root mean square of what left the speaker since the last report, 0..1. */
  level: number;
  /** Sum of squares of every sample played in this call. */
  energy: number;
  /** Seconds of answer played in this call, silence between answers not counted. */
  playedSeconds: number;
}

class PlaybackProcessor extends AudioWorkletProcessor {
  private readonly resampler = new Resampler(WIRE_RATE, sampleRate);
  private readonly buffer = new JitterBuffer(sampleRate);
  private readonly window = new Float32Array(Math.ceil(sampleRate / REPORTS_PER_SECOND / 128) * 128);
  private filled = 0;
  private energy = 0;
  private playedSamples = 0;

  constructor(options: AudioWorkletNodeOptions) {
    super(options);
    this.port.onmessage = (event: MessageEvent<PlaybackOrder>) => this.obey(event.data);
  }

  process(_inputs: Float32Array[][], outputs: Float32Array[][]): boolean {
    const out = outputs[0]?.[0];
    if (!out) return true;
    this.buffer.pull(out);
    if (this.buffer.stats.playing) this.playedSamples += out.length;
    this.window.set(out, this.filled);
    this.filled += out.length;
    if (this.filled >= this.window.length) this.report();
    return true;
  }

  private obey(order: PlaybackOrder): void {
    if (order.kind === "audio") this.buffer.push(this.resampler.process(toFloat(order.pcm)));
    else if (order.kind === "begin") this.buffer.begin();
    else {
      this.buffer.drop();
      this.resampler.reset();
      this.report();
    }
  }

  private report(): void {
    const heard = this.window.subarray(0, this.filled);
    const level = rms(heard);
    this.energy += level * level * heard.length;
    this.filled = 0;
    const report: PlaybackReport = {
      ...this.buffer.stats,
      level,
      energy: this.energy,
      playedSeconds: this.playedSamples / sampleRate,
    };
    this.port.postMessage(report);
  }
}

registerProcessor("maata-playback", PlaybackProcessor);
