"""The call page in a real headless Chromium, with a WAV for a microphone.

Knows how to wait for what the page says about itself (`window.maata`, its test hooks); knows
nothing about servers.
"""

import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

# The last six keep the browser itself off the network, so that only the page's requests are seen.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--mute-audio",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
    "--disable-domain-reliability",
)
ALLOW_MICROPHONE = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
REFUSE_MICROPHONE = ("--use-fake-device-for-media-stream", "--deny-permission-prompts")


def write_microphone(path: Path, pcm: np.ndarray, rate: int = 16000) -> Path:
    """Write what the fake microphone will hear, int16 [T]; it starts when the stream opens."""
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(pcm.astype("<i2").tobytes())
    return path


@contextmanager
def chromium(executable: str, *flags: str, microphone: Path | None = None) -> Iterator[Browser]:
    """A headless Chromium; with `microphone`, its fake microphone plays that WAV once."""
    heard = [f"--use-file-for-fake-audio-capture={microphone}%noloop"] if microphone else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable, args=[*FLAGS, *flags, *heard]
        )
        try:
            yield browser
        finally:
            browser.close()


class CallPage:
    """The open page: its controls, its state, and every request it made."""

    def __init__(self, browser: Browser, url: str, **context: Any) -> None:
        """Open the page; `context` goes to Playwright (viewport, colour scheme)."""
        self.page: Page = browser.new_context(**context).new_page()
        self.requests: list[str] = []
        self.errors: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(url)

    def get(self, expression: str) -> Any:
        """A value of the page, for example `maata.playedEnergy`."""
        return self.page.evaluate(expression)

    def wait(self, expression: str, seconds: float = 20.0) -> None:
        """Wait until an expression holds (Playwright's own wait needs eval, forbidden here)."""
        deadline = monotonic() + seconds
        while not self.get(f"Boolean({expression})"):
            state = self.get("JSON.stringify(maata.state)")
            assert monotonic() < deadline, f"never: {expression}\nstate: {state}"
            sleep(0.03)

    def wait_phase(self, *phases: str, seconds: float = 20.0) -> None:
        """Wait until the call is in one of these phases."""
        self.wait(f"{list(phases)}.includes(maata.state.status.phase)", seconds)

    def call(self) -> None:
        """Press the big button and wait until both sides are connected."""
        self.page.get_by_role("button", name="Call", exact=True).click()
        # One that speaks first may have begun already.
        self.wait_phase("listening", "hearing", "speaking")

    def hang_up(self) -> None:
        """Press it again."""
        self.page.get_by_role("button", name="Hang up").click()
        self.wait_phase("ended")

    def captions(self, side: str) -> list[dict[str, Any]]:
        """The captions of one side (`user` or `bot`), oldest first."""
        return [c for c in self.get("maata.state.captions.list") if c["side"] == side]

    def banner(self) -> str:
        """All messages shown above the captions."""
        return self.page.locator("#banners").inner_text()
