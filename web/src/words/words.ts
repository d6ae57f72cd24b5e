/** The page's words in the language of the moment, and the places in the document that show them. */
import { english, type Word } from "./english";
import { telugu } from "./telugu";

export type { Word } from "./english";
export type Language = "en" | "te";

const TABLES: Record<Language, Record<Word, string>> = { en: english, te: telugu };
let current: Language = "en";

export function language(): Language {
  return current;
}

/** The word in the current language, `{name}` places filled. */
export function say(word: Word, fill: Record<string, string | number> = {}): string {
  return TABLES[current][word].replace(/\{(\w+)\}/g, (_, name: string) => String(fill[name] ?? ""));
}

/** Is there such a word? For keys made from a server's ids (`emotion.…`, `engine.…`). */
export function isWord(key: string): key is Word {
  return key in english;
}

/** Switch language and rewrite every element marked `data-word` (text) or `data-label` (label). */
export function setLanguage(next: Language): void {
  current = next;
  document.documentElement.lang = next;
  document.title = say("title");
  for (const element of document.querySelectorAll<HTMLElement>("[data-word]")) {
    element.textContent = say(element.dataset["word"] as Word);
  }
  for (const element of document.querySelectorAll<HTMLElement>("[data-label]")) {
    element.setAttribute("aria-label", say(element.dataset["label"] as Word));
    element.title = say(element.dataset["label"] as Word);
  }
}
