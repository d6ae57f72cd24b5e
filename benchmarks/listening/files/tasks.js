/* One question on the screen: a single clip with five words, or a pair with three answers. Knows
   its clips and when an answer may be given; where the answer goes, `app` knows. */

const SCORES = ["5", "4", "3", "2", "1"];
const PREFERENCES = { a: "betterA", same: "same", b: "betterB" };

class TaskView {
  /* `heard` remembers what was played; `answer` is what was chosen before, or undefined;
     `onanswer(value)` hears of a new one. */
  constructor(kit, task, words, heard, answer, onanswer) {
    this.task = task;
    this.words = words;
    this.onanswer = onanswer;
    this.answered = answer;
    const known = answer !== undefined;
    const labels = task.kind === "acr" ? [""] : ["A", "B"];
    const clips = task.kind === "acr" ? [task.a] : [task.a, task.b];
    this.players = clips.map((clip, at) => {
      const name = `${task.id} ${clip}`;
      const player = new Player(kit, clip, labels[at], words, known || heard.has(name));
      player.onheard = () => (heard.add(name), this._show());
      player.onbroken = () => this._broken();
      return player;
    });
    this.element = this._element();
    this._show();
  }

  get ready() {
    return this.players.every((player) => player.heard);
  }

  close() {
    for (const player of this.players) player.close();
  }

  /* A key of the keyboard; true if it meant something here. */
  key(key) {
    const single = this.task.kind === "acr";
    const choices = single ? [...SCORES].reverse() : Object.keys(PREFERENCES);
    if (single && key === " ") this.players[0].toggle();
    else if (!single && key === " ") (this.players.find((p) => !p.heard) ?? this.players[0]).toggle();
    else if (!single && "ab".includes(key)) this.players["ab".indexOf(key)].toggle();
    else if (/^[1-5]$/.test(key) && choices[key - 1]) this._choose(choices[key - 1]);
    else return false;
    return true;
  }

  _choose(value) {
    if (!this.ready) return;
    this.answered = value;
    this._show();
    this.onanswer(value);
  }

  _element() {
    const single = this.task.kind === "acr";
    this.hint = make("p", { class: "hint", "aria-live": "polite" });
    this.broken = make("p", { class: "banner", role: "alert", hidden: true });
    const choices = single
      ? SCORES.map((score) => this._choice(score, score, `score${score}`))
      : Object.entries(PREFERENCES).map(([value, word], at) => this._choice(value, at + 1, word));
    const ask = this.words(single ? "rateAsk" : "pairAsk");
    const players = make("div", { class: single ? "players" : "players two" });
    players.append(...this.players.map((player) => player.element));
    this.choices = make("fieldset", { class: "choices" }, [
      make("legend", { class: "unseen" }, [ask]),
      ...choices,
    ]);
    return make("section", { class: "card task" }, [
      make("h2", {}, [ask]),
      players,
      this.broken,
      this.hint,
      this.choices,
    ]);
  }

  _choice(value, key, word) {
    const input = make("input", { type: "radio", name: "answer", value });
    input.addEventListener("change", () => this._choose(value));
    const other = this.words.other(word);
    return make("label", { class: "choice" }, [
      input,
      make("b", {}, [String(key)]),
      make("span", {}, [this.words(word)]),
      make("small", { lang: other.language }, [other.text]),
    ]);
  }

  _show() {
    this.choices.disabled = !this.ready;
    for (const input of this.choices.querySelectorAll("input"))
      input.checked = input.value === this.answered;
    const waiting = this.task.kind === "acr" ? "listenFirst" : "listenBoth";
    this.hint.textContent = this.words(waiting);
    this.hint.classList.toggle("past", this.ready);
  }

  _broken() {
    if (!this.broken.hidden) return;
    this.broken.hidden = false;
    const skip = make("button", { type: "button", class: "quiet" }, [this.words("skip")]);
    skip.addEventListener("click", () => this.onanswer("", true));
    this.broken.replaceChildren(this.words("broken"), " ", skip);
  }
}
