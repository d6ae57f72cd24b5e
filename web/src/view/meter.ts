/**
 * A scrolling level meter on a canvas: the last seconds of one side, newest at the right. Fed with
 * levels as they come, drawn 25 times a second at most and only while something moves.
 */
import { meterLevel } from "../audio/pcm";

const BAR = 3; // CSS pixels
const GAP = 2;
const STEP_MS = 40;

export class Meter {
  private readonly levels: number[] = []; // newest last
  private loudest = 0; // since the last step
  private quietSteps = 0;

  constructor(private readonly canvas: HTMLCanvasElement) {
    new ResizeObserver(() => this.draw()).observe(canvas);
    setInterval(() => this.step(), STEP_MS);
  }

  /** A level that was measured, root mean square 0..1. */
  feed(level: number): void {
    this.loudest = Math.max(this.loudest, meterLevel(level));
  }

  clear(): void {
    this.levels.length = 0;
    this.draw();
  }

  /** Draw again, in another theme's colours. */
  draw(): void {
    const { canvas } = this;
    const ratio = window.devicePixelRatio || 1;
    const width = Math.round(canvas.clientWidth * ratio);
    const height = Math.round(canvas.clientHeight * ratio);
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
    const pen = canvas.getContext("2d");
    if (!pen || width === 0) return;
    pen.clearRect(0, 0, width, height);
    pen.fillStyle = getComputedStyle(canvas).getPropertyValue("--bar");
    const pitch = (BAR + GAP) * ratio;
    const middle = height * 0.46;
    const count = Math.floor(width / pitch);
    for (let i = 0; i < count; i += 1) {
      const level = this.levels.at(-1 - i) ?? 0;
      const size = Math.max(BAR * ratio * 0.7, level * height * 0.84);
      pen.globalAlpha = level > 0.02 ? 0.9 : 0.28;
      pen.beginPath();
      pen.roundRect(width - (i + 1) * pitch, middle - size / 2, BAR * ratio, size, (BAR * ratio) / 2);
      pen.fill();
    }
  }

  private step(): void {
    this.levels.push(this.loudest);
    if (this.levels.length > 400) this.levels.splice(0, 200);
    this.quietSteps = this.loudest > 0.02 ? 0 : this.quietSteps + 1;
    this.loudest = 0;
    const visible = this.canvas.clientWidth / (BAR + GAP);
    if (!document.hidden && this.quietSteps <= visible + 1) this.draw();
  }
}
