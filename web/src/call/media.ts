/**
 * The SDK's media manager over our own sound. The SDK's default one drives devices through a vendor
 * library that is fetched from the network at run time; its WAV one asks for no echo cancellation,
 * cannot choose a speaker and counts nothing. Knows only when audio may flow, not what it says.
 */
import type { WebSocketTransport } from "@pipecat-ai/websocket-transport";

type SdkMedia = NonNullable<
  NonNullable<ConstructorParameters<typeof WebSocketTransport>[0]>["mediaManager"]
>;

export class CallMedia {
  /** False until the server is ready: the SDK would queue audio and send a burst of the past. */
  sending = false;
  private send: (data: ArrayBuffer) => void = () => {};

  constructor(private readonly heard: (pcm: Int16Array<ArrayBuffer>) => void) {}

  /** As the SDK's abstract class, which it declares but does not export. */
  asSdk(): SdkMedia {
    return this as unknown as SdkMedia;
  }

  /** A packet of the caller's side, 16 kHz 16-bit. */
  capture(pcm: Int16Array<ArrayBuffer>): void {
    if (this.sending) this.send(pcm.buffer);
  }

  setUserAudioCallback(send: (data: ArrayBuffer) => void): void {
    this.send = send;
  }

  bufferBotAudio(data: Int16Array<ArrayBuffer>): undefined {
    this.heard(data);
  }

  // Devices belong to the page, which opens them before it connects and keeps them over reconnects.
  setClientOptions(): void {}
  async initialize(): Promise<void> {}
  async connect(): Promise<void> {}
  async userStartedSpeaking(): Promise<void> {}
  async disconnect(): Promise<void> {
    this.sending = false;
  }
  tracks(): { local: Record<string, never> } {
    return { local: {} };
  }
}
