/**
 * How a connection ended and what follows from it: the server's close codes (4400 bad choice, 4401
 * token, 4403 origin, 4408 limit, 4429 too many callers, 4503 not ready), or a line that broke.
 */

export interface Ending {
  /** WebSocket close code, 0 when the line never opened. */
  code: number;
  /** The server's own sentence, "" when it gave none. */
  sentence: string;
}

export type EndingKind =
  | "choice"
  | "token"
  | "origin"
  | "limit"
  | "busy"
  | "not-ready"
  | "server"
  | "lost";

export function endingKind(ending: Ending): EndingKind {
  switch (ending.code) {
    case 4400:
      return "choice";
    case 4401:
      return "token";
    case 4403:
      return "origin";
    case 4408:
      return "limit";
    case 4429:
      return "busy";
    case 4503:
      return "not-ready";
    case 1000: // the server hung up in good order
      return "server";
    default:
      // A sentence without a code comes from a fatal error message: the server meant to end it.
      return ending.sentence === "" ? "lost" : "server";
  }
}

/** May a call that was once connected come back by dialling again, nobody doing anything? */
export function worthRetrying(ending: Ending): boolean {
  const kind = endingKind(ending);
  return kind === "lost" || kind === "not-ready"; // a restarting server is first gone, then loading
}
