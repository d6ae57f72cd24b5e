/**
 * One connection to the server through Pipecat's client SDK: protobuf audio and RTVI messages in,
 * typed events out, and a clear account of how it ended. Reconnecting is not its business.
 */
import { LogLevel, PipecatClient, type RTVIMessage } from "@pipecat-ai/client-js";
import { WebSocketTransport } from "@pipecat-ai/websocket-transport";

import type { TalkEvent } from "../state/events";
import type { Ending } from "./ending";
import { CallMedia } from "./media";
import { isRecord, parseServerMessage } from "./messages";
import { OrderedSerializer } from "./serializer";

const CONNECT_TIMEOUT_MS = 10_000;
const CLOSE_GRACE_MS = 400; // between a fatal error message and the close frame that has its code

export interface LineListener {
  talk(event: TalkEvent): void;
  /** Answer audio, 24 kHz 16-bit. */
  audio(pcm: Int16Array<ArrayBuffer>): void;
  /** The line ended without our doing, after it had been connected. */
  closed(ending: Ending): void;
}

/** Why a line could not be connected. */
export class LineRefused extends Error {
  constructor(readonly ending: Ending) {
    super(ending.sentence || `connection failed (${ending.code})`);
  }
}

export class Line {
  private readonly media: CallMedia;
  private readonly client: PipecatClient;
  private sentence = ""; // of a fatal error message
  private unnamedSegments = 0;
  private over: ((ending: Ending) => void) | null = null;

  constructor(private readonly listener: LineListener) {
    this.media = new CallMedia((pcm) => listener.audio(pcm));
    const serializer = new OrderedSerializer(() => listener.talk({ kind: "flush" }));
    const transport = new LineTransport(this.media, serializer, (ending) => this.end(ending));
    this.client = new PipecatClient({
      transport,
      enableMic: true,
      enableCam: false,
      callbacks: this.callbacks(),
    });
    this.client.setLogLevel(LogLevel.NONE);
  }

  /** Connect and wait until the bot is ready; LineRefused otherwise. */
  async connect(wsUrl: string): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => this.end({ code: 0, sentence: "" }), CONNECT_TIMEOUT_MS);
      this.over = (ending) => {
        clearTimeout(timer);
        reject(new LineRefused(ending));
      };
      this.client.connect({ wsUrl }).then(
        () => {
          clearTimeout(timer);
          this.over = (ending) => this.listener.closed(ending);
          this.media.sending = true;
          resolve();
        },
        () => this.end({ code: 0, sentence: "" }), // never opened; a no-op after a named ending
      );
    });
  }

  /** A packet of the caller's side; ignored until connected. */
  capture(pcm: Int16Array<ArrayBuffer>): void {
    this.media.capture(pcm);
  }

  /** Voice and emotion of the next answer. */
  setVoice(voice: string, emotion: string): void {
    if (this.client.state === "ready") this.client.sendClientMessage("set-voice", { voice, emotion });
  }

  /** Hang up: the server is told, and no ending is reported. */
  async hangUp(): Promise<void> {
    this.over = null;
    if (this.client.state === "ready") this.client.disconnectBot();
    await this.client.disconnect();
  }

  private end(ending: Ending): void {
    const over = this.over;
    this.over = null;
    if (!over) return;
    this.media.sending = false;
    void this.client.disconnect();
    // A close frame holds 123 bytes: the message before it has the whole sentence.
    over({ code: ending.code, sentence: this.sentence || ending.sentence });
  }

  private error(message: RTVIMessage): void {
    const data = isRecord(message.data) ? message.data : {};
    const sentence = typeof data["error"] === "string" ? data["error"] : "";
    if (data["fatal"] === true) {
      this.sentence = sentence;
      setTimeout(() => this.end({ code: 0, sentence }), CLOSE_GRACE_MS);
    } else if (sentence) {
      this.listener.talk({ kind: "notice", level: "warning", text: sentence });
    }
  }

  private callbacks(): ConstructorParameters<typeof PipecatClient>[0]["callbacks"] {
    const talk = (event: TalkEvent) => this.listener.talk(event);
    return {
      onError: (message) => this.error(message),
      onUserStartedSpeaking: () => talk({ kind: "user-started" }),
      onUserStoppedSpeaking: () => talk({ kind: "user-stopped" }),
      onBotStartedSpeaking: () => talk({ kind: "bot-started" }),
      onBotStoppedSpeaking: () => talk({ kind: "bot-stopped" }),
      onUserTranscript: ({ text, final }) => talk({ kind: "heard", text, final }),
      onBotLlmStarted: () => talk({ kind: "llm-started" }),
      onBotLlmText: ({ text }) => talk({ kind: "wrote", text }),
      onBotOutput: (output) => {
        if (output.will_be_spoken === false) return;
        const said = output.spoken_progress?.accumulated_text ?? (output.spoken ? output.text : "");
        const id = output.segment_id ?? --this.unnamedSegments; // older servers do not number them
        talk({ kind: "segment", id, text: output.text, said });
      },
      onBotTtsText: ({ text }) => talk({ kind: "said", text }),
      onServerMessage: (data: unknown) => {
        const message = parseServerMessage(data);
        if (message) talk({ kind: "server", message });
      },
    };
  }
}

/** The SDK's transport, ending with the server's close code and sentence instead of a fixed text. */
class LineTransport extends WebSocketTransport {
  constructor(
    media: CallMedia,
    private readonly frames: OrderedSerializer,
    private readonly closed: (ending: Ending) => void,
  ) {
    super({ mediaManager: media.asSdk(), serializer: frames, recorderSampleRate: 16_000 });
  }

  override initializeWebsocket(): ReturnType<WebSocketTransport["initializeWebsocket"]> {
    const socket = super.initializeWebsocket();
    const connect = socket.connect.bind(socket);
    socket.connect = async () => {
      const raw = (await connect()) as Pick<WebSocket, "addEventListener">;
      raw.addEventListener("close", async ({ code, reason }) => {
        await this.frames.settled(); // the message before the close frame says more than its reason
        this.closed({ code, sentence: reason });
      });
      return raw;
    };
    return socket;
  }

  override connectionError(): void {} // the close event above says it better
}
