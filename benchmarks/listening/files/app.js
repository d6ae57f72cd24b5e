/* The page: which screen is shown, and what keys and buttons do there. */

const kit = JSON.parse(document.getElementById("kit").textContent);
const table = JSON.parse(document.getElementById("words").textContent);
const store = new Store(kit.kit);
const screen = document.getElementById("screen");
const state = { language: "te", theme: "", rater: "", ...store.get("page", {}), view: null, from: null };
const heard = new Set(); // clips played to their end, by task: changing the language keeps them
let tasks = [];
let session = null;

function words(word, values = {}) {
  return fill(table[state.language][word], values);
}
words.other = (word) => {
  const language = state.language === "te" ? "en" : "te";
  return { language, text: table[language][word] };
};
function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

function remember() {
  store.set("page", { language: state.language, theme: state.theme, rater: state.rater });
}

function button(word, onclick, kind = "main") {
  const element = make("button", { type: "button", class: kind }, [words(word)]);
  element.addEventListener("click", onclick);
  return element;
}

function card(kind, children) {
  show(make("section", { class: `card ${kind}` }, children));
}

function show(...elements) {
  screen.replaceChildren(...elements);
}

/* Time counts while a task is on the screen and the page can be seen. */
function settleTime() {
  if (!state.view || state.from === null) return;
  const now = performance.now();
  const { id } = state.view.task;
  state.spent[id] = (state.spent[id] ?? 0) + (now - state.from);
  state.from = now;
  if (session.answers[id]) session.answers[id].ms = state.spent[id];
  store.keep(state.rater, session);
}

function draw() {
  settleTime();
  if (state.view) state.view.close();
  state.view = null;
  for (const player of [...players]) player.close();
  const dark = state.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  document.documentElement.dataset.theme = dark;
  document.documentElement.lang = state.language;
  document.title = words("title");
  for (const e of document.querySelectorAll("[data-word]")) e.textContent = words(e.dataset.word);
  document.getElementById("unkept").hidden = store.kept;
  const language = document.getElementById("language");
  language.textContent = words("other");
  language.title = words("otherTitle");
  document.getElementById("theme").setAttribute("aria-label", words("theme"));
  if (!state.rater) drawWelcome();
  else if (!session.ready) drawVolume();
  else if (session.at >= tasks.length) drawDone();
  else if (tasks[session.at].kind === "pair" && !session.paired) drawPart();
  else drawTask();
}

function drawWelcome() {
  const minutes = Math.max(1, Math.round((kit.seconds + 5 * (kit.rate.length + kit.pairs.length)) / 60));
  const points = { phones: {}, soundOnly: {}, level: { n: kit.longest }, minutes: { n: minutes }, private: {} };
  const input = make("input", {
    id: "code", name: "code", maxlength: "32", autocomplete: "off", autocapitalize: "characters",
    spellcheck: "false", "aria-describedby": "code-hint", required: true,
  });
  const bad = make("p", { class: "bad", role: "alert", hidden: true }, [words("codeBad")]);
  const begin = make("button", { type: "submit", class: "main" }, [words("begin")]);
  input.addEventListener("input", () => {
    const code = codeOf(input.value);
    bad.hidden = true;
    begin.textContent = words(code && store.session(code).ready ? "resume" : "begin");
  });
  const form = make("form", { novalidate: true }, [
    make("label", { for: "code" }, [words("code")]),
    make("div", { class: "field" }, [input, begin]),
    bad,
    make("p", { class: "hint", id: "code-hint" }, [words("codeHint")]),
  ]);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const code = codeOf(input.value);
    bad.hidden = code !== null;
    if (code) enter(code);
    else input.focus();
  });
  card("welcome", [
    make("h2", {}, [words("welcome")]),
    make("p", { class: "lead" }, [words("lead")]),
    make("ul", { class: "points" }, Object.entries(points).map(([word, values]) =>
      make("li", {}, [icon("tick"), make("span", {}, [words(word, values)])]))),
    form,
  ]);
}

function enter(code) {
  state.rater = code;
  session = store.session(code);
  tasks = planFor(kit, code);
  heard.clear();
  state.spent = Object.fromEntries(Object.entries(session.answers).map(([id, a]) => [id, a.ms]));
  session.at = Math.min(session.at, tasks.length);
  remember();
  draw();
}

function drawVolume() {
  const clips = kit.practice.map((clip, at) =>
    new Player(kit, clip, words("sample", { n: at + 1 }), words, false));
  const next = button("volumeNext", () => { session.ready = true; move(0); });
  card("volume", [
    make("h2", {}, [words("volumeTitle")]),
    make("p", { class: "lead" }, [words("volumeText")]),
    make("div", { class: "players two" }, clips.map((player) => player.element)),
    make("div", { class: "steps" }, [make("span", {}), next]),
  ]);
}

function drawPart() {
  card("part", [
    make("div", { class: "letters", "aria-hidden": "true" }, [make("b", {}, ["A"]), make("b", {}, ["B"])]),
    make("h2", {}, [words("partTitle")]),
    make("p", { class: "lead" }, [words("partText")]),
    make("div", { class: "steps" }, [make("span", {}), button("partNext", () => { session.paired = true; move(0); })]),
  ]);
}

function drawTask() {
  const task = tasks[session.at];
  const next = button("next", () => move(1));
  const done = () => session.answers[task.id] !== undefined;
  next.disabled = !done();
  const view = new TaskView(kit, task, words, heard, session.answers[task.id]?.value, (value, skipped) => {
    session.answers[task.id] = { value, ms: state.spent[task.id] ?? 0 };
    settleTime();
    next.disabled = false;
    if (skipped) move(1);
  });
  state.view = view;
  state.from = performance.now();
  const back = button("back", () => move(-1), "quiet");
  back.disabled = session.at === 0;
  const keys = words(task.kind === "acr" ? "keysRate" : "keysPair");
  show(
    progress(task),
    view.element,
    make("div", { class: "steps" }, [back, next]),
    make("footer", {}, [make("p", { class: "keys" }, [keys]), button("partly", download, "quiet small")]),
  );
}

function progress(task) {
  const stage = words(task.kind === "acr" ? "rateStage" : "pairStage");
  const count = words("progress", { n: session.at + 1, of: tasks.length });
  const width = `${(100 * session.at) / tasks.length}%`;
  const bar = make("span", { class: "bar" }, [make("i", {})]);
  bar.firstChild.style.width = width;
  return make("div", {
    class: "progress", role: "progressbar", "aria-valuemin": "0",
    "aria-valuemax": tasks.length, "aria-valuenow": session.at, "aria-valuetext": count,
  }, [make("div", {}, [make("span", {}, [stage]), make("b", {}, [count])]), bar]);
}

function drawDone() {
  const skipped = tasks.filter((task) => !session.answers[task.id]?.value).length;
  const saved = make("p", { class: "hint", "aria-live": "polite" });
  card("done", [
    make("span", { class: "seal" }, [icon("tick")]),
    make("h2", {}, [words("doneTitle")]),
    make("p", { class: "lead" }, [words("doneText")]),
    ...(skipped ? [make("p", { class: "hint" }, [words("doneMissing", { n: skipped })])] : []),
    button("download", () => { saved.textContent = words("downloaded", { name: download() }); }),
    saved,
    make("div", { class: "after" }, [
      button("review", () => move(-1), "quiet small"),
      button("another", leave, "quiet small"),
    ]),
  ]);
}

function leave() {
  state.rater = "";
  remember();
  draw();
}

function move(step) {
  settleTime();
  session.at = Math.max(0, Math.min(tasks.length, session.at + step));
  store.keep(state.rater, session);
  draw();
  screen.focus({ preventScroll: true });
  scrollTo(0, 0);
}

function download() {
  settleTime();
  const name = `ratings-${kit.kit}-${state.rater}.csv`;
  const text = csvOf(kit.kit, state.rater, tasks, session.answers);
  const url = URL.createObjectURL(new Blob(["\ufeff", text], { type: "text/csv" })); // Excel needs the mark
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
  return name;
}

document.addEventListener("keydown", (event) => {
  if (!state.view || event.ctrlKey || event.metaKey || event.altKey) return;
  const { target, key } = event;
  if (key === " " && target.closest("button, input:not(:checked)")) return; // it means the control
  if (key === "Enter" && target.closest("button")) return;
  const known = state.view.key(key.toLowerCase());
  if (!known && key === "Enter") screen.querySelector(".steps .main:not(:disabled)")?.click();
  else if (!known && key === "Backspace") screen.querySelector(".steps .quiet:not(:disabled)")?.click();
  else if (!known) return;
  event.preventDefault();
});
document.addEventListener("visibilitychange", () => {
  settleTime();
  state.from = document.hidden ? null : performance.now();
});
document.getElementById("language").addEventListener("click", () => {
  state.language = words.other("title").language;
  remember();
  draw();
});
document.getElementById("theme").addEventListener("click", () => {
  state.theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  remember();
  draw();
});
addEventListener("pagehide", settleTime);
if (state.rater && codeOf(state.rater)) enter(state.rater);
else { state.rater = ""; draw(); }
