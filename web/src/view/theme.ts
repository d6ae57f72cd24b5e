/** Light or dark: the system's wish until the visitor chooses. */
import { say } from "../words/words";
import { byId } from "./dom";
import { recall, remember } from "./memory";

const system = window.matchMedia("(prefers-color-scheme: dark)");

function isDark(): boolean {
  const chosen = recall("theme");
  return chosen ? chosen === "dark" : system.matches;
}

/** Put the theme on the page and name what the button would do. */
export function applyTheme(): void {
  const dark = isDark();
  document.documentElement.dataset["theme"] = dark ? "dark" : "light";
  byId("theme-icon").setAttribute("href", dark ? "#i-sun" : "#i-moon");
  const word = say(dark ? "themeLight" : "themeDark");
  byId("theme").setAttribute("aria-label", word);
  byId("theme").title = word;
}

export function watchTheme(changed: () => void): void {
  const apply = () => {
    applyTheme();
    changed();
  };
  system.addEventListener("change", apply);
  byId("theme").addEventListener("click", () => {
    remember("theme", isDark() ? "light" : "dark");
    apply();
  });
}
