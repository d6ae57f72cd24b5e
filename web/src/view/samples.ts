/** The sample caller's sentences as buttons: what is being said, what was said, tap to say now. */
import type { SampleProgress } from "../call/sampler";
import type { SampleInfo } from "../call/info";
import { byId, make } from "./dom";

export function showSamples(samples: SampleInfo[], tapped: (index: number) => void): void {
  const buttons = samples.map((sample, index) => {
    const meaning = sample.english && make("span", { class: "meaning", lang: "en" }, sample.english);
    const said = make("span", { lang: "te" }, sample.text || sample.id);
    const button = make("button", { type: "button" }, said, meaning || null);
    button.addEventListener("click", () => tapped(index));
    return make("li", {}, button);
  });
  byId("sample-list").replaceChildren(...buttons);
  byId("samples").hidden = false;
}

export function hideSamples(): void {
  byId("samples").hidden = true;
}

export function markSamples({ saying, said }: SampleProgress): void {
  byId("sample-list")
    .querySelectorAll("button")
    .forEach((button, index) => {
      button.classList.toggle("said", said.has(index) && saying !== index);
      button.setAttribute("aria-current", String(saying === index));
      if (saying === index) button.scrollIntoView({ block: "nearest", inline: "center" });
    });
}
