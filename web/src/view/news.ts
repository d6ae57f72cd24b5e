/** What the server says about itself and about a call, in words: badge, banners, endings. */
import type { EndingKind } from "../call/ending";
import type { ServerInfo } from "../call/info";
import type { CallEvent, EndReason } from "../state/events";
import { say } from "../words/words";
import { hideBanner, sentence, showBanner } from "./banners";
import { byId, make } from "./dom";
import { engineName } from "./status";

/** The starter badge with its models, and whether there is a sample caller. */
export function showServer(info: ServerInfo): void {
  byId("starter").hidden = !info.starter;
  byId("welcome-sample").hidden = info.samples.length === 0;
  const models = info.engines
    .filter((engine) => engine.available)
    .flatMap((engine) => Object.entries(engine.models))
    .flatMap(([part, model]) => [make("dt", {}, part), make("dd", {}, model)]);
  byId("models").replaceChildren(...models);
}

/** Show what an event has to say, if anything. */
export function showNews(event: CallEvent): void {
  if (event.kind === "notice") {
    showBanner("notice", event.level, sentence(event.text));
  } else if (event.kind === "ended") {
    showEnding(event.why);
  } else if (event.kind === "server" && event.message.type === "notice") {
    showBanner("notice", event.message.level, sentence(event.message.text));
  } else if (event.kind === "server" && event.message.type === "engine" && event.message.reason) {
    const words = say("engineFallback", { engine: engineName(event.message.id) });
    showBanner("engine", "info", `${words} ${sentence(event.message.reason)}`);
  } else if (event.kind === "server" && event.message.type === "voice") {
    showVoice(event.message.id, event.message.fallback, event.message.reason);
  }
}

/** Another voice than the chosen one's model is named as long as it speaks. */
function showVoice(voice: string, fallback: boolean, reason: string): void {
  if (!fallback) return hideBanner("voice");
  const words = say("voiceFallback", { voice });
  showBanner("voice", "info", `${words} ${sentence(reason)}`.trim());
}

/** Is the server worth watching for its return after this ending? */
export function mayComeBack(ending: EndingKind): boolean {
  return ending === "lost" || ending === "not-ready";
}

function showEnding(why: EndReason): void {
  if (why.kind === "microphone") showBanner("ending", "error", say(`microphone.${why.fault}`));
  if (why.kind !== "server") return;
  showBanner("ending", "error", sentence(why.sentence) || say(`ending.${why.ending}`));
  if (why.ending !== "token") return;
  byId("token-row").hidden = false;
  byId("token").focus();
}
