/**
 * Draws the answer times (the last one as a number, the last turns as bars of stages, a legend) and
 * how playback fares.
 */
import type { PlaybackReport } from "../audio/playback.worklet";
import { STAGES, type Stage } from "../call/messages";
import { blocks, medianMs, type Turn } from "../state/latency";
import { say } from "../words/words";
import { byId, make, makeSvg } from "./dom";

const SHOWN = 6;
const WIDTH = 330;
const ROW = 20;
const BAR = 12;
const LEFT = 26; // room for the turn's number
const RIGHT = 54; // room for its total

export function renderLatency(turns: Turn[]): void {
  const panel = byId("latency");
  const last = turns.at(-1);
  if (!last) {
    panel.replaceChildren(make("p", { class: "hint" }, say("latencyNone")));
    return;
  }
  const number = make("b", { id: "latency-last" }, String(Math.round(last.totalMs)));
  number.append(make("small", {}, "ms"));
  const median = say("latencyMedian", { n: turns.length, ms: Math.round(medianMs(turns) ?? 0) });
  const figure = make("div", { class: "figure" }, number, make("span", {}, median));
  panel.replaceChildren(figure, chart(turns.slice(-SHOWN)), legend(last));
}

/** What the ear gets: gaps so far and audio waiting. Called often, written only when it changes. */
export function renderEar({ underruns, bufferedMs, playedSeconds }: PlaybackReport): void {
  const line = byId("ear");
  const waiting = Math.round(bufferedMs / 20) * 20;
  const text = `${say("underruns")}: ${underruns} · ${say("buffered")}: ${waiting} ms`;
  if (line.textContent !== text) line.textContent = text;
  line.hidden = playedSeconds === 0;
}

function chart(turns: Turn[]): SVGSVGElement {
  const longest = Math.max(...turns.map((turn) => turn.totalMs), 1);
  const scale = (WIDTH - LEFT - RIGHT) / longest;
  const rows = turns.map((turn, i) => bar(turn, i, scale, i === turns.length - 1));
  const height = turns.length * ROW;
  const label = [
    say("latencyChart", { n: turns.length }),
    ...turns.map((turn) => `${say("turn")} ${turn.turn}: ${duration(turn.totalMs)}`),
  ].join("; ");
  const box = { viewBox: `0 0 ${WIDTH} ${height}`, role: "img", class: "chart", "aria-label": label };
  return makeSvg("svg", box, ...rows);
}

function bar(turn: Turn, row: number, scale: number, newest: boolean): SVGGElement {
  const y = row * ROW + (ROW - BAR) / 2;
  const pieces = blocks(turn).map(({ stage, startMs, ms }) => {
    const place = { x: LEFT + startMs * scale, y, width: Math.max(1, ms * scale - 1), height: BAR };
    const hint = makeSvg("title", {}, `${say(`stage.${stage}`)}: ${duration(ms)}`);
    return makeSvg("rect", { ...place, rx: 2.5, class: colour(stage) }, hint);
  });
  const baseline = y + BAR - 2;
  const name = makeSvg("text", { x: LEFT - 8, y: baseline, "text-anchor": "end" }, String(turn.turn));
  const end = LEFT + turn.totalMs * scale + 6;
  const total = makeSvg("text", { x: end, y: baseline }, duration(turn.totalMs));
  return makeSvg("g", { class: newest ? "newest" : "older" }, name, ...pieces, total);
}

function legend(last: Turn): HTMLUListElement {
  const shown = new Map(blocks(last).map(({ stage, ms }) => [stage, ms]));
  const rows = [...STAGES, "rest" as const]
    .filter((stage) => shown.has(stage))
    .map((stage) =>
      make(
        "li",
        {},
        make("i", { class: colour(stage) }),
        make("span", {}, say(`stage.${stage}`)),
        make("b", {}, duration(shown.get(stage) ?? 0)),
      ),
    );
  return make("ul", { class: "legend" }, ...rows);
}

/** Milliseconds, or seconds where milliseconds would be too long to read. */
function duration(ms: number): string {
  return ms < 10_000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

function colour(stage: Stage | "rest"): string {
  return stage === "rest" ? "stage-rest" : stage;
}
