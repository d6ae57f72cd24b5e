/* One clip with its button and its line of time. No waveform: raters are to judge by ear, and noise
   can be seen. Knows nothing of tasks; tells `onheard` when the clip was played to its end. */

const players = new Set();

class Player {
  constructor(kit, clip, label, words, heard) {
    this.heard = heard;
    this.onheard = () => {};
    this.onbroken = () => {};
    this.words = words;
    this.label = label;
    this.audio = new Audio();
    this.audio.preload = "auto";
    this.url = URL.createObjectURL(new Blob([bytesOf(kit.clips[clip])], { type: kit.mime }));
    this.audio.src = this.url;
    this.element = this._element();
    for (const event of ["play", "pause", "timeupdate", "loadedmetadata"])
      this.audio.addEventListener(event, () => this._show());
    this.audio.addEventListener("ended", () => {
      this.heard = true;
      this._show();
      this.onheard();
    });
    this.audio.addEventListener("error", () => this.onbroken());
    players.add(this);
    this._show();
  }

  toggle() {
    if (!this.audio.paused) return this.audio.pause();
    for (const other of players) if (other !== this) other.audio.pause();
    this.audio.play().catch((error) => {
      if (error.name !== "AbortError") this.onbroken(); // aborted: paused again before it began
    });
  }

  close() {
    players.delete(this);
    this.audio.pause();
    this.audio.removeAttribute("src");
    URL.revokeObjectURL(this.url);
  }

  _element() {
    this.button = make("button", { type: "button", class: "play" }, [icon("play"), icon("pause")]);
    this.button.addEventListener("click", () => this.toggle());
    this.name = make("strong", {});
    this.time = make("span", { class: "time" });
    this.line = make("span", { class: "line", "aria-hidden": "true" }, [make("i", {})]);
    const text = make("div", { class: "what" }, [make("div", {}, [this.name, this.time]), this.line]);
    return make("div", { class: "player" }, [this.button, text]);
  }

  _show() {
    const { audio, element } = this;
    const whole = Number.isFinite(audio.duration) ? audio.duration : 0;
    const at = this.heard && audio.paused && !audio.currentTime ? whole : audio.currentTime;
    const word = audio.paused ? (this.heard ? "again" : "play") : "pause";
    element.classList.toggle("playing", !audio.paused);
    element.classList.toggle("heard", this.heard);
    this.button.setAttribute("aria-label", `${this.label}: ${this.words(word)}`.replace(/^: /, ""));
    this.name.textContent = this.label || this.words(word);
    this.time.textContent = `${at.toFixed(1)} / ${whole.toFixed(1)} s`;
    this.line.firstChild.style.width = `${whole ? (100 * at) / whole : 0}%`;
  }
}

function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  return bytes;
}

/* An element with attributes and children; text only ever as text. */
function make(tag, attributes, children = []) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes))
    if (value !== false) element.setAttribute(name, value === true ? "" : value);
  element.append(...children);
  return element;
}

const ICONS = {
  play: "M8 5.2v13.6a.8.8 0 0 0 1.2.7l11-6.8a.8.8 0 0 0 0-1.4l-11-6.8A.8.8 0 0 0 8 5.2z",
  pause: "M7 5h3.4v14H7zM13.6 5H17v14h-3.4z",
  tick: "M5 12.5l4.6 4.6L19.5 7",
};

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.classList.add(`icon-${name}`);
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}
