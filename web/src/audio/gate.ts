/**
 * Which answer may be heard. The server names each answer (`answer`, a rising id) before its first
 * audio and says when one was interrupted; between an interruption and the next answer whatever
 * audio still arrives belongs to the old one and is refused. Knows nothing about sound.
 *
 * A server that never names its answers (a full-duplex engine) is never refused: an interruption
 * then only empties the buffer.
 */
export class AnswerGate {
  private current = -1; // newest answer named so far
  private closed = false;

  /** The id of the newest answer, -1 before the first. */
  get id(): number {
    return this.current;
  }

  /** May audio that arrives now be played? */
  get open(): boolean {
    return !this.closed;
  }

  /** A new answer begins. False for one that is not newer: it stays refused. */
  begin(id: number): boolean {
    if (id <= this.current) return false;
    this.current = id;
    this.closed = false;
    return true;
  }

  /**
   * An interruption: of answer `id`, or of whatever sounds when the message names none.
   * False when it speaks of an older answer than the current one, whose audio must go on.
   */
  interrupt(id?: number): boolean {
    if (id !== undefined && id < this.current) return false;
    if (id !== undefined && id > this.current) this.current = id; // cut before it was announced
    this.closed = this.current >= 0;
    return true;
  }

  /** A new call: ids start again. */
  reset(): void {
    this.current = -1;
    this.closed = false;
  }
}
