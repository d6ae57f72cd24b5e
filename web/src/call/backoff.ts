/** When to try again after a lost connection: soon at first, then ever more rarely, then not. */

const FIRST_MS = 500;
const LONGEST_MS = 8000;
export const MAX_ATTEMPTS = 8; // about 40 seconds in all

/**
 * Wait before attempt `attempt` (1, 2, …) in ms, or null when it is time to give up.
 * `random` in 0..1 spreads callers apart who all lost the same server.
 */
export function backoffMs(attempt: number, random: () => number = Math.random): number | null {
  if (attempt > MAX_ATTEMPTS) return null;
  const base = Math.min(LONGEST_MS, FIRST_MS * 2 ** (attempt - 1));
  return Math.round(base * (0.8 + 0.4 * random()));
}
