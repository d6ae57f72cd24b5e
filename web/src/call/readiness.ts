/** Watches the server from page load until it can take calls: unreachable, loading, ready. */
import { fetchInfo, fetchReadiness, type ServerInfo } from "./info";

const LOADING_MS = 1000;
const UNREACHABLE_MS = 3000;

export type ServerState =
  | { kind: "unreachable" }
  | { kind: "loading"; progress: number | undefined } // 0..1, undefined when not told
  | { kind: "ready" };

/** Report every change until ready; `info` comes as soon as the server answers at all. */
export async function awaitServer(
  told: (state: ServerState) => void,
  informed: (info: ServerInfo) => void,
): Promise<void> {
  let known = false;
  for (;;) {
    try {
      if (!known) informed(await fetchInfo());
      known = true;
      const readiness = await fetchReadiness();
      if (readiness.ready) {
        informed(await fetchInfo()); // engines may have become available while loading
        told({ kind: "ready" });
        return;
      }
      told({ kind: "loading", progress: mean(Object.values(readiness.loading)) });
      await sleep(LOADING_MS);
    } catch {
      told({ kind: "unreachable" });
      await sleep(UNREACHABLE_MS);
    }
  }
}

function mean(parts: number[]): number | undefined {
  if (parts.length === 0) return undefined;
  return parts.reduce((sum, part) => sum + part, 0) / parts.length;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
