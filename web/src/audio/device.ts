/**
 * The sound of one page: one audio context, a capture worklet fed by the microphone or by sample
 * recordings, a playback worklet, device choice. Knows nothing about calls or the network.
 */
import captureUrl from "./capture.worklet.ts?worker&url";
import playbackUrl from "./playback.worklet.ts?worker&url";
import type { CapturePacket } from "./capture.worklet";
import { MicrophoneProblem, problemOf } from "./microphone";
import type { PlaybackOrder, PlaybackReport } from "./playback.worklet";

export interface SoundListener {
  /** 32 ms of the caller's side, 16 kHz; level is its root mean square. */
  captured(packet: CapturePacket): void;
  /** About 30 times a second while the sound is open. */
  played(report: PlaybackReport): void;
  /** The microphone in use went away (unplugged, taken back by the browser). */
  microphoneLost(): void;
}

interface Graph {
  context: AudioContext;
  capture: AudioWorkletNode;
  playback: AudioWorkletNode;
}

/** `AudioContext.setSinkId` where the browser has it (Chromium); not in lib.dom yet. */
type SinkContext = AudioContext & { setSinkId?: (id: string) => Promise<void> };

export class Sound {
  private graph: Graph | null = null;
  private stream: MediaStream | null = null;
  private source: AudioNode | null = null;
  private sample: AudioBufferSourceNode | null = null;
  private muted = false;
  private sink = "";

  constructor(private readonly listener: SoundListener) {}

  /** Can the speaker be chosen in this browser? */
  static get canChooseSpeaker(): boolean {
    return typeof AudioContext !== "undefined" && "setSinkId" in AudioContext.prototype;
  }

  /** Start the audio graph; must be called from a click or key press. MicrophoneProblem if refused. */
  async open(): Promise<void> {
    if (this.graph) return;
    if (!window.isSecureContext || typeof AudioWorkletNode === "undefined") {
      throw new MicrophoneProblem("insecure"); // browsers hide worklets and devices on plain http
    }
    const context = new AudioContext({ latencyHint: "interactive" });
    await context.resume();
    await Promise.all([captureUrl, playbackUrl].map((url) => context.audioWorklet.addModule(url)));
    const capture = new AudioWorkletNode(context, "maata-capture", { numberOfInputs: 1 });
    const playback = new AudioWorkletNode(context, "maata-playback", {
      numberOfInputs: 0,
      outputChannelCount: [1],
    });
    // A worklet runs only while it leads to the speakers; the capture side leads there silently.
    capture.connect(new GainNode(context, { gain: 0 })).connect(context.destination);
    playback.connect(context.destination);
    capture.port.onmessage = (event: MessageEvent<CapturePacket>) =>
      this.listener.captured(event.data);
    playback.port.onmessage = (event: MessageEvent<PlaybackReport>) =>
      this.listener.played(event.data);
    this.graph = { context, capture, playback };
    if (this.sink) await this.useSpeaker(this.sink);
  }

  /** Listen to a microphone ("" = the default one). Throws MicrophoneProblem. */
  async useMicrophone(deviceId = ""): Promise<void> {
    const { context, capture } = this.opened();
    if (!navigator.mediaDevices?.getUserMedia) throw new MicrophoneProblem("insecure");
    const wanted: MediaTrackConstraints = {
      echoCancellation: true,
      noiseSuppression: true,
      autoGainControl: true,
      channelCount: 1,
      ...(deviceId ? { deviceId: { exact: deviceId } } : {}),
    };
    let stream: MediaStream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: wanted });
    } catch (error) {
      throw new MicrophoneProblem(problemOf(error));
    }
    this.releaseMicrophone();
    this.stream = stream;
    this.source = context.createMediaStreamSource(stream);
    this.source.connect(capture);
    this.track?.addEventListener("ended", () => this.listener.microphoneLost());
    this.mute(this.muted);
  }

  get microphoneId(): string {
    return this.track?.getSettings().deviceId ?? "";
  }

  /** A muted microphone sends silence; the stream itself goes on. */
  mute(muted: boolean): void {
    this.muted = muted;
    if (this.track) this.track.enabled = !muted;
  }

  /** Speaker by device id, "" for the default; kept for later calls. */
  async useSpeaker(deviceId: string): Promise<void> {
    this.sink = deviceId;
    await (this.graph?.context as SinkContext | undefined)?.setSinkId?.(deviceId);
  }

  /** A recording as the browser decodes it. Throws when it cannot be fetched or decoded. */
  async load(url: string): Promise<AudioBuffer> {
    const answer = await fetch(url);
    if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
    return this.opened().context.decodeAudioData(await answer.arrayBuffer());
  }

  /** Say a recording to the server, audibly here too; resolves when it ended or was stopped. */
  say(recording: AudioBuffer): Promise<void> {
    const { context, capture } = this.opened();
    this.hush();
    const sample = new AudioBufferSourceNode(context, { buffer: recording });
    this.sample = sample;
    sample.connect(capture);
    sample.connect(new GainNode(context, { gain: 0.6 })).connect(context.destination);
    return new Promise((resolve) => {
      sample.onended = () => {
        sample.disconnect();
        if (this.sample === sample) this.sample = null;
        resolve();
      };
      sample.start();
    });
  }

  /** Stop the recording being said, if any. */
  hush(): void {
    this.sample?.stop();
    this.sample = null;
  }

  /** Answer audio: 24 kHz 16-bit. */
  play(pcm: Int16Array<ArrayBuffer>): void {
    this.order({ kind: "audio", pcm }, [pcm.buffer]);
  }

  /** A new answer starts after this. */
  begin(): void {
    this.order({ kind: "begin" });
  }

  /** Silence now: everything buffered is thrown away. */
  drop(): void {
    this.order({ kind: "drop" });
  }

  /** Give everything back: microphone light off, sound card free. */
  async close(): Promise<void> {
    this.hush();
    this.releaseMicrophone();
    const context = this.graph?.context;
    this.graph = null;
    await context?.close();
  }

  private order(order: PlaybackOrder, transfer: Transferable[] = []): void {
    this.graph?.playback.port.postMessage(order, transfer);
  }

  private get track(): MediaStreamTrack | undefined {
    return this.stream?.getAudioTracks()[0];
  }

  private releaseMicrophone(): void {
    this.source?.disconnect();
    this.source = null;
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = null;
  }

  private opened(): Graph {
    if (!this.graph) throw new Error("the sound is not open");
    return this.graph;
  }
}
