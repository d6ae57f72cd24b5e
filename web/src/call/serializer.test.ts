import { describe, expect, test, vi } from "vitest";
import { RTVIMessage } from "@pipecat-ai/client-js";

import { firstField, OrderedSerializer } from "./serializer";

function serializer(interrupted: () => void = () => {}): OrderedSerializer {
  return new OrderedSerializer(interrupted);
}

function blob(bytes: Uint8Array): Blob {
  return new Blob([bytes as Uint8Array<ArrayBuffer>]);
}

/** A blob whose bytes take a while to read. */
function slow(bytes: Uint8Array): Blob {
  const slowBlob = blob(bytes);
  const read = slowBlob.arrayBuffer.bind(slowBlob);
  slowBlob.arrayBuffer = async () => {
    await new Promise((resolve) => setTimeout(resolve, 40));
    return read();
  };
  return slowBlob;
}

const INTERRUPTION = Uint8Array.of(0x2a, 0x00); // Frame { interruption {} }

describe("what goes out comes back", () => {
  test("audio", async () => {
    const pcm = Int16Array.of(1, -2, 32767, -32768);
    const bytes = serializer().serializeAudio(pcm.buffer, 16_000, 1);
    expect(firstField(bytes)).toBe(2);
    const frame = await serializer().deserialize(blob(bytes));
    expect(frame).toEqual({ type: "audio", audio: pcm });
  });

  test("a message in Telugu", async () => {
    const message = new RTVIMessage("client-message", { t: "set-voice", d: { voice: "రవి" } });
    const bytes = serializer().serializeMessage(message);
    const frame = await serializer().deserialize(blob(bytes));
    expect(frame).toEqual({ type: "message", message: { ...message } });
  });
});

test("an interruption is reported", async () => {
  const interrupted = vi.fn();
  const frame = await serializer(interrupted).deserialize(blob(INTERRUPTION));
  expect(frame).toEqual({ type: "raw", message: "interruption" });
  expect(interrupted).toHaveBeenCalledOnce();
});

test("an interruption never overtakes audio that was sent before it", async () => {
  const order: string[] = [];
  const ordered = serializer(() => order.push("interruption"));
  const audio = ordered.serializeAudio(Int16Array.of(1).buffer, 24_000, 1);
  await Promise.all([
    ordered.deserialize(slow(audio)).then(({ type }) => order.push(type)),
    ordered.deserialize(blob(INTERRUPTION)),
  ]);
  expect(order).toEqual(["audio", "interruption"]);
});

test.each([
  ["text", "hello"],
  ["an empty blob", new Blob([])],
  ["noise", blob(Uint8Array.of(0xff, 0xff, 0xff, 0xff))],
  ["half a sample", blob(serializer().serializeAudio(new ArrayBuffer(3), 24_000, 1))],
  ["a message that is no JSON", blob(Uint8Array.of(0x22, 0x03, 0x0a, 0x01, 0x7b))],
])("%s is unreadable, and the next frame is read", async (_name, data) => {
  const ordered = serializer();
  expect(await ordered.deserialize(data)).toEqual({ type: "raw", message: "unreadable" });
  const next = ordered.serializeAudio(Int16Array.of(7).buffer, 24_000, 1);
  expect(await ordered.deserialize(blob(next))).toEqual({ type: "audio", audio: Int16Array.of(7) });
});
