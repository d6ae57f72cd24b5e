"""The call page against the real server, in a real browser, heard and seen."""

from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

from tests.live import IN_RATE, say
from tests.web.browser import (
    ALLOW_MICROPHONE,
    REFUSE_MICROPHONE,
    CallPage,
    chromium,
    write_microphone,
)
from tests.web.conftest import ServerProcess

pytestmark = [pytest.mark.page, pytest.mark.slow]

QUESTION = "నమస్కారం నా పేరు అనిత"
CUTTING_IN = "ఇప్పుడు టైం ఎంత అయింది"
HEARD = 1.0  # energy (sum of squares) of a spoken word is far above, of silence it is 0
CONNECTING = 2.0  # seconds of silence before the fake microphone speaks


def silence(seconds: float) -> np.ndarray:
    return np.zeros(int(seconds * IN_RATE), dtype=np.int16)


def test_a_question_is_transcribed_answered_and_heard(
    server: ServerProcess, browser_path: str, tmp_path: Path
) -> None:
    microphone = np.concatenate([silence(CONNECTING), say(QUESTION), silence(1)])
    wav = write_microphone(tmp_path / "microphone.wav", microphone)
    with chromium(browser_path, *ALLOW_MICROPHONE, microphone=wav) as browser:
        page = CallPage(browser, server.url)
        page.call()
        server.wait_active(1)

        page.wait("maata.state.captions.list.some(c => c.side === 'user' && c.text)")
        page.wait("maata.state.captions.list.some(c => c.side === 'bot')")
        page.wait(f"maata.playedEnergy > {HEARD}")
        page.wait("maata.state.turns.length === 1")
        said = page.captions("user")[0]["text"]
        assert "పేరు" in said, said
        shown = page.page.get_by_role("log", name="Conversation").inner_text()
        assert said in shown
        assert page.page.locator("#latency-last").is_visible()
        assert page.get("maata.loudestCaptured") > 0.01

        page.hang_up()
        server.wait_active(0)
        assert page.errors == []
        host = urlsplit(server.url).netloc
        assert [url for url in page.requests if urlsplit(url).netloc not in (host, "")] == []


# What sounds for 400 ms after the answer was silenced, or until the next one begins: on a busy
# machine that may be sooner, so the page looks for itself.
SOUND_AFTER_STOP = """async () => {
  const pause = () => new Promise((done) => setTimeout(done, 10));
  while (!(maata.lastStop?.silentAt && maata.playback.bufferedMs === 0)) await pause();
  const before = maata.playedEnergy, end = performance.now() + 400;
  let after = before, looks = 0;
  while (performance.now() < end && maata.state.status.phase !== "speaking") {
    after = maata.playedEnergy;
    looks += 1;
    await pause();
  }
  return [before, after, looks];
}"""


def test_barge_in_silences_the_answer(
    server: ServerProcess, browser_path: str, tmp_path: Path
) -> None:
    # The answer begins about a second after the question; the caller cuts in soon after.
    parts = [silence(CONNECTING), say(QUESTION), silence(1.6), say(CUTTING_IN), silence(1)]
    wav = write_microphone(tmp_path / "microphone.wav", np.concatenate(parts))
    with chromium(browser_path, *ALLOW_MICROPHONE, microphone=wav) as browser:
        page = CallPage(browser, server.url)
        page.call()
        page.wait(f"maata.playedEnergy > {HEARD}")
        before, after, looks = page.get(SOUND_AFTER_STOP)
        assert looks >= 3
        assert after == pytest.approx(before, abs=1e-6)
        stop = page.get("maata.lastStop")
        assert stop["silentAt"] - stop["orderedAt"] < 150

        page.wait("maata.state.captions.list.some(c => c.side === 'bot' && c.cutAt !== null)")
        assert page.page.get_by_text("interrupted", exact=True).is_visible()
        page.wait(f"maata.playedEnergy > {before} + {HEARD}")  # the next answer is heard
        page.hang_up()
    server.wait_active(0)


def test_the_sample_caller_needs_no_microphone_and_can_cut_in(
    server: ServerProcess, browser_path: str
) -> None:
    with chromium(browser_path, *REFUSE_MICROPHONE) as browser:
        page = CallPage(browser, server.url)
        page.page.get_by_role("button", name="Sample caller").click()
        page.wait_phase("speaking", seconds=30)
        page.wait(f"maata.playedEnergy > {HEARD}")
        page.page.get_by_role("button", name="Interrupt").click()
        page.wait("maata.state.captions.list.some(c => c.side === 'bot' && c.cutAt !== null)")
        page.wait("maata.state.captions.list.filter(c => c.side === 'user' && c.text).length > 1")
        page.hang_up()
    server.wait_active(0)


def test_a_caller_too_many_is_told_so_and_the_first_goes_on(
    server: ServerProcess, browser_path: str
) -> None:
    with chromium(browser_path, *ALLOW_MICROPHONE) as browser:
        first = CallPage(browser, server.url)
        first.call()
        second = CallPage(browser, server.url)
        second.page.get_by_role("button", name="Call", exact=True).click()
        second.wait_phase("ended")
        assert "busy" in second.banner()
        assert first.get("maata.state.status.phase") != "ended"
        first.hang_up()
    server.wait_active(0)


def test_a_killed_server_is_shown_and_its_return_noticed(
    own_server: ServerProcess, browser_path: str
) -> None:
    with chromium(browser_path, *ALLOW_MICROPHONE) as browser:
        page = CallPage(browser, own_server.url)
        page.call()
        own_server.kill()
        page.wait_phase("reconnecting")
        assert "Connection lost" in page.page.locator("#status").inner_text()
        own_server.start(own_server.port)
        page.wait_phase("listening", "hearing", seconds=40)
        assert page.page.get_by_text("This is a new conversation").is_visible()
        own_server.wait_active(1)
        page.hang_up()


def test_a_refused_microphone_is_explained(server: ServerProcess, browser_path: str) -> None:
    with chromium(browser_path, *REFUSE_MICROPHONE) as browser:
        page = CallPage(browser, server.url)
        page.page.get_by_role("button", name="Call", exact=True).click()
        page.wait_phase("ended")
        assert "microphone was refused" in page.banner()
        assert server.active_calls() == 0


def test_keys_call_mute_and_hang_up(server: ServerProcess, browser_path: str) -> None:
    with chromium(browser_path, *ALLOW_MICROPHONE) as browser:
        page = CallPage(browser, server.url)
        page.wait("!document.getElementById('call').disabled")
        page.page.keyboard.press("Enter")
        page.wait_phase("listening", "hearing")
        mute = page.page.locator("#mute")
        page.page.keyboard.press(" ")
        assert mute.get_attribute("aria-pressed") == "true"
        assert page.page.locator("#announce").inner_text() == "Microphone is muted"
        page.page.keyboard.press(" ")
        assert mute.get_attribute("aria-pressed") == "false"
        page.page.keyboard.press("Escape")
        page.wait_phase("ended")
    server.wait_active(0)


@pytest.mark.parametrize("language", ["en", "te"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_screen_needs_no_sideways_scrolling(
    server: ServerProcess, browser_path: str, language: str, scheme: str
) -> None:
    with chromium(browser_path) as browser:
        size = {"width": 320, "height": 568}
        page = CallPage(browser, server.url, viewport=size, color_scheme=scheme)
        if language == "te":
            page.page.locator("#language").click()
        page.wait("!document.getElementById('call').disabled")
        assert page.get("document.documentElement.lang") == language
        assert page.get("document.documentElement.dataset.theme") == scheme
        assert page.get("document.documentElement.scrollWidth") == 320
        assert page.page.locator("#call").bounding_box() is not None
        assert page.get("document.fonts.check('16px Maata', 'తెలుగు')")


def test_what_is_not_available_says_why(server: ServerProcess, browser_path: str) -> None:
    with chromium(browser_path) as browser:
        page = CallPage(browser, server.url)
        page.wait("!document.getElementById('call').disabled")
        assert page.page.get_by_role("button", name="starter model").is_visible()
        s2s = page.page.locator("input[name=engine][value=s2s]")
        if s2s.is_disabled():
            label = page.page.locator("label", has=s2s)
            assert len(label.locator("small").inner_text()) > 10
        for button in page.page.get_by_role("button").all():
            assert button.get_attribute("aria-label") or button.inner_text().strip()
