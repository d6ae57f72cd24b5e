/** The call page put together: state, sound, call and views, and what the buttons do. */
import "./style/page.css";
import "./style/stage.css";
import "./style/side.css";

import { Sound } from "./audio/device";
import { listDevices, MicrophoneProblem, watchDevices } from "./audio/microphone";
import type { PlaybackReport } from "./audio/playback.worklet";
import { Call } from "./call/call";
import { callUrl, type ServerInfo } from "./call/info";
import { awaitServer, type ServerState } from "./call/readiness";
import { SampleCaller } from "./call/sampler";
import { exposeHooks } from "./hooks";
import type { CallEvent, Source } from "./state/events";
import { connected, inCall } from "./state/phase";
import { Store, type CallState } from "./state/store";
import { clearBanners, hideBanner, showBanner } from "./view/banners";
import { CaptionsView } from "./view/captions";
import { byId } from "./view/dom";
import { listenForKeys } from "./view/keys";
import { renderEar, renderLatency } from "./view/latency";
import { recall, remember } from "./view/memory";
import { Meter } from "./view/meter";
import { mayComeBack, showNews, showServer } from "./view/news";
import { hideSamples, markSamples, showSamples } from "./view/samples";
import { SettingsView, type Choices } from "./view/settings";
import { announce, announcePhase, CaptionReader, Clock, renderStatus } from "./view/status";
import { applyTheme, watchTheme } from "./view/theme";
import { language, say, setLanguage, type Language } from "./words/words";

const store = new Store();
let info: ServerInfo | null = null;
let server: ServerState = { kind: "loading", progress: undefined };
let muted = false;
let sampler: SampleCaller | null = null;
let playback: PlaybackReport | null = null;
let loudestCaptured = 0;

const sound = new Sound({
  captured: ({ pcm, level }) => {
    call.capture(pcm);
    youMeter.feed(level);
    loudestCaptured = Math.max(loudestCaptured, level);
  },
  played: (report) => {
    playback = report;
    agentMeter.feed(report.level);
    call.heardLevel(report.level, report.playing);
    renderEar(report);
  },
  microphoneLost: () => {
    showBanner("microphone", "warning", say("microphoneLost"));
    void changeMicrophone("");
  },
});

const settings = new SettingsView(settingChanged, Sound.canChooseSpeaker);
const call = new Call(
  sound,
  {
    url: () => {
      const { engine, voice, emotion, token } = settings.choices;
      return callUrl({ engine, voice, emotion, token });
    },
    microphoneId: () => settings.choices.microphone,
  },
  store.dispatch,
);

const names = {
  user: () => say(store.state.status.source === "sample" ? "sampleYou" : "you"),
  bot: () => {
    const voice = settings.chosenVoice;
    if (!voice) return say("agent");
    return language() === "te" && voice.nameTe ? voice.nameTe : voice.name;
  },
};
const captions = new CaptionsView(names);
const reader = new CaptionReader(names);
const clock = new Clock();
const youMeter = new Meter(byId<HTMLCanvasElement>("you-meter"));
const agentMeter = new Meter(byId<HTMLCanvasElement>("agent-meter"));

// --- a call, from the buttons ---------------------------------------------------------------

function callable(): boolean {
  return server.kind === "ready" && settings.choices.engine !== "";
}

async function startCall(source: Source): Promise<void> {
  if (inCall(store.state.status.phase) || !callable()) return;
  clearBanners();
  loudestCaptured = 0;
  setMuted(false);
  if (source === "sample") prepareSampler();
  await call.start(source);
  void refreshDevices(); // names are known once the microphone was allowed
}

function prepareSampler(): void {
  const samples = info?.samples ?? [];
  const quiet = () => (playback?.bufferedMs ?? 0) === 0;
  const mine = new SampleCaller(samples, sound, quiet, markSamples);
  sampler = mine;
  showSamples(samples, (index) => mine.sayNow(index));
}

async function runSampler(): Promise<void> {
  const mine = sampler;
  if (!mine) return;
  try {
    await mine.load();
  } catch {
    showBanner("samples", "error", say("samplesFailed"));
    await call.hangUp();
    return;
  }
  await mine.run();
}

function setMuted(next: boolean): void {
  muted = next;
  sound.mute(next);
  renderBar();
}

function toggleMute(): void {
  const { phase, source } = store.state.status;
  if (!inCall(phase) || source === "sample") return;
  setMuted(!muted);
  announce(say(muted ? "mutedNow" : "unmutedNow"));
}

async function changeMicrophone(deviceId: string): Promise<void> {
  const { phase, source } = store.state.status;
  if (!connected(phase) || source !== "microphone") return;
  try {
    await sound.useMicrophone(deviceId);
  } catch (error) {
    const fault = error instanceof MicrophoneProblem ? error.fault : "failed";
    showBanner("microphone", "error", say(`microphone.${fault}`));
  }
}

function settingChanged(name: keyof Choices): void {
  const { voice, emotion, microphone, speaker } = settings.choices;
  if (name === "voice" || name === "emotion") call.setVoice(voice, emotion);
  if (name === "microphone") void changeMicrophone(microphone);
  if (name === "speaker") {
    sound.useSpeaker(speaker).catch(() => showBanner("speaker", "warning", say("speakerFailed")));
  }
  renderNames();
}

// --- what the page shows ----------------------------------------------------------------------

store.subscribe((state, event, before) => {
  sampler?.heard(event);
  react(event);
  if (state.captions !== before.captions) {
    captions.render(state.captions.list);
    reader.update(state.captions.list);
  }
  if (state.turns !== before.turns) renderLatency(state.turns);
  if (state.status !== before.status) renderCall(state, before);
});

function react(event: CallEvent): void {
  showNews(event);
  if (event.kind === "connected") {
    clock.start();
    hideBanner("lost");
    if (!event.again && sampler) void runSampler();
  } else if (event.kind === "ended") {
    sampler?.stop();
    sampler = null;
    clock.stop();
    hideSamples();
    if (event.why.kind === "server" && mayComeBack(event.why.ending)) watchServer();
  } else if (event.kind === "opening") {
    clock.reset();
  }
}

function renderCall(state: CallState, before: CallState): void {
  renderBar();
  announcePhase(state, before);
  const live = inCall(state.status.phase);
  settings.lock(live);
  renderNames();
  if (!live) [youMeter, agentMeter].forEach((meter) => meter.clear());
}

function renderBar(): void {
  const samples = (info?.samples.length ?? 0) > 0;
  renderStatus({ status: store.state.status, muted, callable: callable(), samples });
}

function renderNames(): void {
  byId("you-name").textContent = names.user();
  byId("agent-name").textContent = names.bot();
}

function renderInfo(): void {
  if (!info) return;
  showServer(info);
  settings.showInfo(info);
  renderNames();
}

function renderAll(): void {
  byId("language-face").textContent = language() === "en" ? "తె" : "En";
  byId("language-face").lang = language() === "en" ? "te" : "en";
  applyTheme();
  settings.render();
  captions.redraw(store.state.captions.list);
  renderLatency(store.state.turns);
  renderBar();
  renderNames();
}

// --- the server, before and after a call ------------------------------------------------------

let watching = false;

function watchServer(): void {
  if (watching) return;
  watching = true;
  void awaitServer(
    (state) => {
      server = state;
      if (state.kind === "ready") {
        watching = false;
        hideBanner("server");
        if (settings.choices.engine === "") showBanner("server", "error", say("noEngine"));
      } else if (state.kind === "loading") {
        showBanner("server", "info", say("serverLoading"), state.progress);
      } else {
        showBanner("server", "warning", say("serverUnreachable"));
      }
      renderBar();
    },
    (told) => {
      info = told;
      renderInfo();
    },
  );
}

async function refreshDevices(): Promise<void> {
  settings.showDevices(await listDevices());
}

// --- start ------------------------------------------------------------------------------------

byId("call").addEventListener("click", () => {
  if (inCall(store.state.status.phase)) void call.hangUp();
  else void startCall("microphone");
});
byId("mute").addEventListener("click", toggleMute);
byId("sample").addEventListener("click", () => {
  if (sampler) sampler.interrupt();
  else void startCall("sample");
});
byId("language").addEventListener("click", () => {
  const next: Language = language() === "en" ? "te" : "en";
  remember("language", next);
  setLanguage(next);
  renderAll();
});
listenForKeys({
  call: () => void startCall("microphone"),
  hangUp: () => {
    if (inCall(store.state.status.phase)) void call.hangUp();
  },
  mute: toggleMute,
});
watchTheme(() => [youMeter, agentMeter].forEach((meter) => meter.draw()));
watchDevices(() => void refreshDevices());
window.addEventListener("pagehide", () => void call.hangUp());

exposeHooks({
  state: () => store.state,
  playback: () => playback,
  lastStop: () => call.lastStop,
  loudestCaptured: () => loudestCaptured,
});

setLanguage(recall("language") === "te" ? "te" : "en");
renderAll();
watchServer();
void refreshDevices();
