/**
 * A streaming windowed-sinc resampler between any two rates (48 kHz microphone → 16 kHz caller,
 * 24 kHz answer → whatever the sound card runs at). Works sample by sample inside an audio worklet.
 * Knows nothing about packets, answers or speech.
 *
 * Polyphase form: with L/M = outRate/inRate in lowest terms, output n lies at input time n·M/L, so
 * only L different sets of filter weights exist and they are computed once.
 */

const ZERO_CROSSINGS = 16; // filter half-length, in lobes of the slower rate's sinc
const PASSBAND = 0.94; // part of the slower rate's Nyquist band that is kept

export class Resampler {
  private readonly up: number; // L
  private readonly down: number; // M
  private readonly half: number; // taps either side of the centre, input samples
  private readonly weights: Float32Array[]; // [L][2 * half]
  private tail: Float32Array; // input samples still needed by the next call
  private position = 0; // next output's time, in 1/L input samples from tail[half - 1]

  /** Rates in Hz; both must be positive integers, else RangeError. */
  constructor(inRate: number, outRate: number) {
    if (![inRate, outRate].every((rate) => Number.isInteger(rate) && rate > 0)) {
      throw new RangeError(`sample rates must be positive integers, got ${inRate} and ${outRate}`);
    }
    const common = gcd(inRate, outRate);
    this.up = outRate / common;
    this.down = inRate / common;
    const band = Math.min(1, outRate / inRate);
    this.half = Math.ceil(ZERO_CROSSINGS / band);
    this.weights = Array.from({ length: this.up }, (_, phase) =>
      phaseWeights(phase / this.up, this.half, band * PASSBAND),
    );
    this.tail = new Float32Array(2 * this.half - 1);
    this.reset();
  }

  /** Forget the past, as at the start of a stream. */
  reset(): void {
    this.tail = new Float32Array(this.half - 1); // silence before the first sample
    this.position = 0;
  }

  /** Samples in at inRate, samples out at outRate; the last `half` inputs are answered later. */
  process(input: Float32Array): Float32Array {
    if (this.up === this.down) return input.slice();
    const buffer = new Float32Array(this.tail.length + input.length);
    buffer.set(this.tail);
    buffer.set(input, this.tail.length);

    const output: number[] = [];
    for (;;) {
      const start = Math.floor(this.position / this.up); // first tap of this output
      if (start + 2 * this.half > buffer.length) break;
      output.push(dot(buffer, start, this.weights[this.position % this.up]!));
      this.position += this.down;
    }
    const consumed = Math.min(Math.floor(this.position / this.up), buffer.length);
    this.tail = buffer.slice(consumed);
    this.position -= consumed * this.up;
    return Float32Array.from(output);
  }
}

function dot(signal: Float32Array, start: number, weights: Float32Array): number {
  let sum = 0;
  for (let k = 0; k < weights.length; k += 1) sum += signal[start + k]! * weights[k]!;
  return sum;
}

/** Hann-windowed sinc sampled at the taps around a point `fraction` past the centre tap. */
function phaseWeights(fraction: number, half: number, cutoff: number): Float32Array {
  const weights = new Float32Array(2 * half);
  let sum = 0;
  for (let k = 0; k < weights.length; k += 1) {
    const t = k - (half - 1) - fraction;
    const window = 0.5 + 0.5 * Math.cos((Math.PI * t) / (half + 1));
    const x = Math.PI * cutoff * t;
    const value = (x === 0 ? 1 : Math.sin(x) / x) * window;
    weights[k] = value;
    sum += value;
  }
  return weights.map((value) => value / sum); // unit gain at DC in every phase
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}
