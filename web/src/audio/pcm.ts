/**
 * Between the two shapes of audio on this page: float samples in -1..1 (sound card) and 16-bit
 * integers (the wire). Also cuts the microphone's stream into packets of one size.
 */

/** 16-bit samples as floats. */
export function toFloat(pcm: Int16Array): Float32Array {
  const out = new Float32Array(pcm.length);
  for (let i = 0; i < pcm.length; i += 1) out[i] = pcm[i]! / 32768;
  return out;
}

/** Root mean square of a block, 0 for an empty one. */
export function rms(block: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < block.length; i += 1) sum += block[i]! * block[i]!;
  return block.length === 0 ? 0 : Math.sqrt(sum / block.length);
}

/** Loudness 0..1 for a meter: -60 dBFS is empty, -6 dBFS is full. */
export function meterLevel(value: number): number {
  if (value <= 0) return 0;
  const decibels = 20 * Math.log10(value);
  return Math.max(0, Math.min(1, (decibels + 60) / 54));
}

/** Collects float samples and hands out full packets of `size` 16-bit samples. */
export class Packetiser {
  private packet: Int16Array<ArrayBuffer>;
  private filled = 0;

  constructor(private readonly size: number) {
    this.packet = new Int16Array(size);
  }

  push(samples: Float32Array, emit: (packet: Int16Array<ArrayBuffer>) => void): void {
    for (let i = 0; i < samples.length; i += 1) {
      const clipped = Math.max(-1, Math.min(1, samples[i]!));
      this.packet[this.filled] = Math.round(clipped * 32767);
      this.filled += 1;
      if (this.filled === this.size) {
        emit(this.packet);
        this.packet = new Int16Array(this.size);
        this.filled = 0;
      }
    }
  }
}
