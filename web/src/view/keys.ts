/** Keys for the whole page: Enter calls, Escape hangs up, Space mutes; controls keep their own. */

export interface KeyActions {
  call(): void;
  hangUp(): void;
  mute(): void;
}

export function listenForKeys({ call, hangUp, mute }: KeyActions): void {
  document.addEventListener("keydown", (event) => {
    if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    if (event.key === "Escape") {
      if (!document.querySelector(":popover-open")) hangUp();
      return;
    }
    if (event.target instanceof Element && event.target.closest("button, select, input, a")) return;
    if (event.key === "Enter") call();
    else if (event.key === " ") {
      event.preventDefault(); // would scroll
      mute();
    }
  });
}
