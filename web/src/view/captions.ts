/**
 * Draws the captions: one line per utterance, spoken words strong, words still to come pale, words
 * cut off by an interruption struck out. Follows the newest line unless the reader scrolled up.
 */
import { botText, type BotCaption, type Caption, type UserCaption } from "../state/captions";
import { say } from "../words/words";
import { byId, make } from "./dom";

const NEAR_END_PX = 60;

export class CaptionsView {
  private readonly list = byId<HTMLOListElement>("captions");
  private readonly latest = byId<HTMLButtonElement>("latest");
  private readonly drawn = new Map<number, { caption: Caption; element: HTMLLIElement }>();
  private following = true;

  constructor(private readonly names: { user: () => string; bot: () => string }) {
    this.list.addEventListener("scroll", () => {
      const below = this.list.scrollHeight - this.list.scrollTop - this.list.clientHeight;
      this.following = below < NEAR_END_PX;
      this.latest.hidden = this.following;
    });
    this.latest.addEventListener("click", () => this.follow());
  }

  render(captions: Caption[]): void {
    byId("welcome").hidden = captions.length > 0;
    this.list.hidden = captions.length === 0;
    const keys = new Set(captions.map((caption) => caption.key));
    for (const [key, { element }] of this.drawn) {
      if (keys.has(key)) continue;
      element.remove();
      this.drawn.delete(key);
    }
    for (const caption of captions) this.renderOne(caption);
    if (this.following) this.follow();
  }

  /** Draw everything again, in another language. */
  redraw(captions: Caption[]): void {
    for (const { element } of this.drawn.values()) element.remove();
    this.drawn.clear();
    this.render(captions);
  }

  private follow(): void {
    this.list.scrollTop = this.list.scrollHeight;
    this.latest.hidden = true;
  }

  private renderOne(caption: Caption): void {
    const before = this.drawn.get(caption.key);
    if (before?.caption === caption) return;
    const element = this.draw(caption);
    if (before) before.element.replaceWith(element);
    else this.list.append(element);
    this.drawn.set(caption.key, { caption, element });
  }

  private draw(caption: Caption): HTMLLIElement {
    if (caption.side === "note") {
      return make("li", { class: "line note" }, make("span", {}, say("reconnectedNote")));
    }
    return caption.side === "user" ? this.drawUser(caption) : this.drawBot(caption);
  }

  private drawUser(caption: UserCaption): HTMLLIElement {
    const interim = caption.interim && make("span", { class: "interim" }, spaced(caption.text, caption.interim));
    const text = make("p", { lang: "te" }, caption.text, interim || null);
    if (caption.open) text.classList.add("open-end");
    return make("li", { class: "line user" }, make("b", {}, this.names.user()), text);
  }

  private drawBot(caption: BotCaption): HTMLLIElement {
    const { said, rest } = botText(caption);
    const cut = caption.cutAt !== null;
    const tag = cut ? make("span", { class: "tag" }, say("interrupted")) : null;
    const mark = cut && rest ? make("span", { class: "cut-mark", title: say("interruptedAt") }) : null;
    const pale = rest ? make(cut ? "s" : "span", { class: "rest" }, cut ? rest : spaced(said, rest)) : null;
    if (cut && pale) pale.setAttribute("aria-label", `${say("unspoken")}: ${rest}`);
    return make(
      "li",
      { class: cut ? "line bot cut" : "line bot", "data-answer": String(caption.answer ?? "") },
      make("b", {}, this.names.bot(), tag),
      make("p", { lang: "te" }, said, mark, pale),
    );
  }
}

function spaced(before: string, text: string): string {
  return before === "" ? text : ` ${text}`;
}
