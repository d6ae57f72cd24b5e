/**
 * What the page remembers: choices between visits, the token as long as the tab is open. A browser
 * that forbids storage (some private windows) just forgets.
 */

export function recall(name: string, area: "local" | "session" = "local"): string | null {
  try {
    return storage(area).getItem(`maata-${name}`);
  } catch {
    return null;
  }
}

export function remember(name: string, value: string, area: "local" | "session" = "local"): void {
  try {
    storage(area).setItem(`maata-${name}`, value);
  } catch {
    return; // the choice then lasts as long as the page
  }
}

function storage(area: "local" | "session"): Storage {
  return area === "local" ? localStorage : sessionStorage;
}
