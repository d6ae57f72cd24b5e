/**
 * Runs on the audio thread: whatever is connected to it (microphone or sample caller) becomes 16 kHz
 * 16-bit packets of 32 ms, posted with their level. It never stops: with nothing connected or the
 * microphone muted it sends silence, so the server's turn detection keeps its clock.
 */
import { Packetiser, rms } from "./pcm";
import { Resampler } from "./resample";

const WIRE_RATE = 16_000;
const PACKET = 512; // 32 ms at 16 kHz: exactly one window of the server's Silero VAD

export interface CapturePacket {
  pcm: Int16Array<ArrayBuffer>;
  /** Root mean square of the packet, 0..1. */
  level: number;
}

class CaptureProcessor extends AudioWorkletProcessor {
  private readonly resampler = new Resampler(sampleRate, WIRE_RATE);
  private readonly packets = new Packetiser(PACKET);
  private readonly silence = new Float32Array(128);

  process(inputs: Float32Array[][]): boolean {
    const block = inputs[0]?.[0] ?? this.silence;
    this.packets.push(this.resampler.process(block), (pcm) => {
      const level = rms(Float32Array.from(pcm, (value) => value / 32768));
      this.port.postMessage({ pcm, level } satisfies CapturePacket, [pcm.buffer]);
    });
    return true;
  }
}

registerProcessor("maata-capture", CaptureProcessor);
