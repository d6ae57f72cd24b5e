/* What is kept in the browser: answers by rater, so that a reload or a second rater loses nothing.
   Knows no buttons. Where the browser keeps nothing (private windows), memory has to do. */

class Store {
  constructor(kit) {
    this.prefix = `listening:${kit}:`;
    this.memory = new Map();
    this.kept = this._works();
  }

  _works() {
    try {
      localStorage.setItem(`${this.prefix}try`, "1");
      localStorage.removeItem(`${this.prefix}try`);
      return true;
    } catch {
      return false;
    }
  }

  get(name, otherwise) {
    const text = this.kept ? localStorage.getItem(this.prefix + name) : this.memory.get(name);
    try {
      return text ? JSON.parse(text) : otherwise;
    } catch {
      return otherwise; // edited by hand: begin anew rather than show an empty page
    }
  }

  set(name, value) {
    const text = JSON.stringify(value);
    this.memory.set(name, text);
    if (!this.kept) return;
    try {
      localStorage.setItem(this.prefix + name, text);
    } catch {
      this.kept = false; // full: what was answered so far is still in memory
    }
  }

  /* { at: index of the task shown, ready: volume was set, paired: second part was announced,
       answers: { task id: { value, ms } } } */
  session(rater) {
    return this.get(`of:${rater}`, { at: 0, ready: false, paired: false, answers: {} });
  }

  keep(rater, session) {
    this.set(`of:${rater}`, session);
  }
}

const COLUMNS = ["kit", "rater", "order", "kind", "clip_a", "clip_b", "answer", "ms"];

/* One row a task that was answered or skipped (an empty answer); RFC 4180. */
function csvOf(kit, rater, tasks, answers) {
  const rows = tasks
    .filter((task) => task.id in answers)
    .map((task) => {
      const { value, ms } = answers[task.id];
      return [kit, rater, task.order, task.kind, task.a, task.b, value, Math.round(ms)];
    });
  return [COLUMNS, ...rows].map((row) => row.join(",") + "\r\n").join("");
}

/* A code is letters (Telugu too) and digits: nothing that a spreadsheet takes for a formula. */
function codeOf(text) {
  const code = text.normalize("NFC").trim().toUpperCase();
  return /^[\p{L}\p{N}][\p{L}\p{M}\p{N}]{0,23}$/u.test(code) ? code : null;
}
