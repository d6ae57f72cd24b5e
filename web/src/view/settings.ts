/** The settings form: voice, emotion, engine, devices, token; remembers choices between visits. */
import type { AudioDevices } from "../audio/microphone";
import type { EngineInfo, ServerInfo, VoiceInfo } from "../call/info";
import { isWord, language, say } from "../words/words";
import { sentence } from "./banners";
import { byId, make } from "./dom";
import { recall, remember } from "./memory";

export interface Choices {
  engine: string;
  voice: string;
  emotion: string;
  microphone: string;
  speaker: string;
  token: string;
}

export class SettingsView {
  private info: ServerInfo | null = null;
  private devices: AudioDevices = { inputs: [], outputs: [] };
  private readonly form = byId<HTMLFormElement>("settings");
  private readonly emotion = byId<HTMLSelectElement>("emotion");
  private readonly microphone = byId<HTMLSelectElement>("microphone");
  private readonly speaker = byId<HTMLSelectElement>("speaker");
  private readonly token = byId<HTMLInputElement>("token");

  constructor(changed: (name: keyof Choices) => void, canChooseSpeaker: boolean) {
    byId("speaker-row").hidden = !canChooseSpeaker;
    this.token.value = recall("token", "session") ?? "";
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("change", (event) => {
      const field = event.target as HTMLInputElement | HTMLSelectElement;
      const name = (field.name || field.id) as keyof Choices;
      remember(name, field.value, name === "token" ? "session" : "local");
      changed(name);
    });
    this.render();
  }

  get choices(): Choices {
    return {
      engine: this.checked("engine"),
      voice: this.checked("voice"),
      emotion: this.emotion.value,
      microphone: this.microphone.value,
      speaker: this.speaker.value,
      token: this.token.value.trim(),
    };
  }

  get chosenVoice(): VoiceInfo | undefined {
    return this.info?.voices.find((voice) => voice.id === this.choices.voice);
  }

  showInfo(info: ServerInfo): void {
    this.info = info;
    byId("token-row").hidden = !info.tokenRequired;
    this.render();
  }

  showDevices(devices: AudioDevices): void {
    this.devices = devices;
    this.renderDevices();
  }

  /** During a call the engine stays, and voice changes wait for the next answer. */
  lock(live: boolean): void {
    for (const radio of byId("engines").querySelectorAll("input")) {
      radio.disabled = live || radio.dataset["available"] !== "true";
    }
    byId("engine-hint").hidden = !live;
    byId("voice-hint").hidden = !live;
  }

  /** Draw everything again, in the language of the moment, keeping what is chosen. */
  render(): void {
    this.renderDevices();
    const { info } = this;
    if (!info) return;
    const now = this.choices;
    const voice = pick(now.voice, recall("voice"), info.defaultVoice, info.voices.map(({ id }) => id));
    byId("voices").replaceChildren(...info.voices.map((each) => voiceChoice(each, each.id === voice)));
    const available = info.engines.filter((each) => each.available).map(({ id }) => id);
    const engine = pick(now.engine, recall("engine"), info.defaultEngine, available);
    byId("engines").replaceChildren(...info.engines.map((each) => engineChoice(each, each.id === engine)));
    const emotion = pick(now.emotion, recall("emotion"), info.defaultEmotion, info.emotions);
    this.emotion.replaceChildren(...info.emotions.map((each) => option(each, emotionWord(each))));
    this.emotion.value = emotion;
  }

  private renderDevices(): void {
    const lists: [HTMLSelectElement, MediaDeviceInfo[], string][] = [
      [this.microphone, this.devices.inputs, "microphone"],
      [this.speaker, this.devices.outputs, "speaker"],
    ];
    for (const [select, devices, name] of lists) {
      const wanted = select.value || recall(name) || "";
      const known = devices.filter(({ deviceId }) => deviceId !== "default");
      select.replaceChildren(
        option("", say("defaultDevice")),
        ...known.map(({ deviceId, label }) => option(deviceId, label)),
      );
      select.value = known.some(({ deviceId }) => deviceId === wanted) ? wanted : "";
    }
  }

  private checked(name: string): string {
    return this.form.querySelector<HTMLInputElement>(`input[name="${name}"]:checked`)?.value ?? "";
  }
}

/** The first of the candidates that is possible, else the first possible. */
function pick(now: string, remembered: string | null, fallback: string, possible: string[]): string {
  const found = [now, remembered, fallback].find((each) => each && possible.includes(each));
  return found ?? possible[0] ?? "";
}

function option(value: string, text: string): HTMLOptionElement {
  return make("option", { value }, text);
}

function emotionWord(id: string): string {
  const key = `emotion.${id}`;
  return isWord(key) ? say(key) : id;
}

function radio(name: string, value: string, checked: boolean): HTMLInputElement {
  const input = make("input", { type: "radio", name, value });
  input.checked = checked;
  return input;
}

function voiceChoice(voice: VoiceInfo, checked: boolean): HTMLLabelElement {
  const name = language() === "te" && voice.nameTe ? voice.nameTe : voice.name;
  const face = make("span", { class: "face", "aria-hidden": "true", lang: "te" }, initial(voice));
  const aboutKey = `voice.${voice.id}.about`;
  const about = language() === "te" && isWord(aboutKey) ? say(aboutKey) : voice.description;
  const words = make("div", {}, make("strong", {}, name), make("small", {}, about));
  return make("label", { class: "choice" }, radio("voice", voice.id, checked), face, words);
}

/** The first letter of the name as Telugu writes it (a whole syllable sign, not a code point). */
function initial(voice: VoiceInfo): string {
  const name = voice.nameTe || voice.name;
  const first = [...new Intl.Segmenter("te", { granularity: "grapheme" }).segment(name)][0];
  return first?.segment ?? name.slice(0, 1);
}

function engineChoice(engine: EngineInfo, checked: boolean): HTMLLabelElement {
  const nameKey = `engine.${engine.id}`;
  const aboutKey = `engine.${engine.id}.about`;
  const input = radio("engine", engine.id, checked);
  input.disabled = !engine.available;
  input.dataset["available"] = String(engine.available);
  const mini = engine.available && engine.starter ? make("span", { class: "mini" }, say("starterBadge")) : null;
  const name = make("strong", {}, isWord(nameKey) ? say(nameKey) : engine.id, mini);
  const about = engine.available ? (isWord(aboutKey) ? say(aboutKey) : "") : sentence(engine.reason);
  const words = make("div", {}, name, make("small", {}, about));
  return make("label", { class: engine.available ? "choice" : "choice absent" }, input, words);
}
