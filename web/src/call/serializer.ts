/**
 * Pipecat's protobuf frames for the SDK's transport, with two repairs. Frames are decoded strictly
 * in order (the SDK reads each Blob on its own, so an interruption could overtake audio sent before
 * it), and the `interruption` frame, unknown to the SDK, is reported. Knows nothing about calls.
 */
import { ProtobufFrameSerializer } from "@pipecat-ai/websocket-transport";

const INTERRUPTION_FIELD = 5; // of `oneof frame` in Pipecat's frames.proto
const MAX_FRAME_BYTES = 1024 * 1024;

type Decoded = Awaited<ReturnType<ProtobufFrameSerializer["deserialize"]>>;
export type Frame = Decoded | { type: "raw"; message: "interruption" | "unreadable" };

/** Number of the first field in a protobuf message (tag = number << 3 | wire type), 0 if empty. */
export function firstField(head: Uint8Array): number {
  return (head[0] ?? 0) >> 3;
}

export class OrderedSerializer {
  private readonly inner = new ProtobufFrameSerializer();
  private last: Promise<unknown> = Promise.resolve();

  constructor(private readonly interrupted: () => void) {}

  serialize(data: unknown): unknown {
    return this.inner.serialize(data);
  }

  serializeAudio(data: ArrayBuffer, sampleRate: number, channels: number): Uint8Array {
    return this.inner.serializeAudio(data, sampleRate, channels);
  }

  serializeMessage(message: Parameters<ProtobufFrameSerializer["serializeMessage"]>[0]): Uint8Array {
    return this.inner.serializeMessage(message);
  }

  /** Decode after every earlier frame was decoded. A bad frame is `unreadable`, never an error. */
  deserialize(data: unknown): Promise<Frame> {
    const turn = this.last.then(() => this.decode(data));
    this.last = turn;
    return turn;
  }

  /** Resolves when every frame that has arrived by now was decoded. */
  async settled(): Promise<void> {
    await this.last;
  }

  private async decode(data: unknown): Promise<Frame> {
    if (!(data instanceof Blob) || data.size > MAX_FRAME_BYTES) return unreadable();
    try {
      const head = new Uint8Array(await data.slice(0, 1).arrayBuffer());
      if (firstField(head) === INTERRUPTION_FIELD) {
        this.interrupted();
        return { type: "raw", message: "interruption" };
      }
      return await this.inner.deserialize(data);
    } catch {
      return unreadable();
    }
  }
}

function unreadable(): Frame {
  return { type: "raw", message: "unreadable" };
}
