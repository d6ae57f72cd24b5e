/** Messages above the captions: what went wrong or is going on, in words, with a way to dismiss. */
import { say } from "../words/words";
import { byId, icon, make } from "./dom";

export type BannerLevel = "info" | "warning" | "error";

/** Show a message; one with the same key replaces the former. Errors are read out at once. */
export function showBanner(key: string, level: BannerLevel, text: string, progress?: number): void {
  const holder = byId("banners");
  const before = holder.querySelector<HTMLElement>(`[data-key="${CSS.escape(key)}"]`);
  const sentence = before?.querySelector("p");
  if (before && sentence && before.classList.contains(level)) {
    if (sentence.textContent !== text) sentence.textContent = text;
    setProgress(before, progress);
    return;
  }
  const close = make("button", { type: "button", "aria-label": say("dismiss") }, icon("close"));
  const banner = make(
    "div",
    { class: `banner ${level}`, "data-key": key, role: level === "error" ? "alert" : "status" },
    make("p", {}, text),
    close,
  );
  close.addEventListener("click", () => banner.remove());
  setProgress(banner, progress);
  if (before) before.replaceWith(banner);
  else holder.append(banner);
}

/** A server's message as a sentence: capital first, full stop last. */
export function sentence(text: string): string {
  const trimmed = text.trim();
  const end = /[.!?…।]$/.test(trimmed) ? "" : ".";
  return trimmed === "" ? "" : trimmed[0]!.toLocaleUpperCase() + trimmed.slice(1) + end;
}

export function hideBanner(key: string): void {
  byId("banners").querySelector(`[data-key="${CSS.escape(key)}"]`)?.remove();
}

export function clearBanners(): void {
  byId("banners").replaceChildren();
}

function setProgress(banner: HTMLElement, progress: number | undefined): void {
  const shown = banner.querySelector("progress");
  if (progress === undefined) shown?.remove();
  else if (shown) shown.value = progress;
  else {
    const element = make("progress", { max: "1", value: String(progress) });
    element.setAttribute("aria-label", say("serverLoading"));
    banner.querySelector("p")?.after(element);
  }
}
