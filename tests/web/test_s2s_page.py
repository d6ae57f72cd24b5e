"""The call page on the speech-to-speech engine: chosen, heard while it hears, and left again.

The model is tiny and random, so what it says is noise; that it is said, shown and timed is not. So
is the cascade's voice, which loses its place in every clause: another one speaks, and is named.
"""

from collections.abc import Iterator

import pytest

from models.speecht5_voices import Decoding
from tests.models import tiny_directory, tiny_speecht5
from tests.web.browser import ALLOW_MICROPHONE, REFUSE_MICROPHONE, CallPage, chromium
from tests.web.conftest import ServerProcess, require_page

pytestmark = [pytest.mark.page, pytest.mark.slow]


@pytest.fixture(scope="module")
def duplex(browser_path: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Both engines, one place on the second, and the cascade for whoever finds it taken."""
    require_page()
    folder = tmp_path_factory.mktemp("duplex")
    model, codec = tiny_directory.write(folder)
    voice = tiny_speecht5.write(folder / "voice", Decoding(), never_stops=True)
    process = ServerProcess(
        folder / "log",
        'engines=["cascade", "s2s"]',
        f"s2s.model={model}",
        f"s2s.codec={codec}",
        "s2s.slots=1",
        "s2s.budget_ms=80",
        "s2s.fallback=cascade",
        "cascade.tts.engine=speecht5",
        f"cascade.tts.model={voice}",
    )
    process.start()
    yield process
    process.stop()


def choose(page: CallPage, engine: str) -> None:
    # As a person does, by its label: the click waits until the list is laid out and lies still.
    chosen = page.page.locator(f"input[name=engine][value={engine}]")
    page.page.locator("#engines label").filter(has=chosen).click()
    assert chosen.is_checked()


def test_the_engine_is_chosen_answers_and_is_left_for_the_other(
    duplex: ServerProcess, browser_path: str
) -> None:
    with chromium(browser_path, *REFUSE_MICROPHONE) as browser:
        page = CallPage(browser, duplex.url)
        choose(page, "s2s")
        page.page.get_by_role("button", name="Sample caller").click()
        page.wait("maata.state.status.engine === 's2s'")
        page.wait("maata.playedEnergy > 1", 40)
        assert "Speech to speech" in page.page.locator("#status-more").inner_text()
        page.wait("maata.state.captions.list.some(c => c.side === 'user' && c.text)", 40)
        page.wait("maata.state.captions.list.some(c => c.side === 'bot' && c.written)", 40)
        page.hang_up()
        duplex.wait_active(0)

        choose(page, "cascade")
        page.page.get_by_role("button", name="Sample caller").click()
        page.wait("maata.state.status.engine === 'cascade'")
        told = page.page.get_by_text("Another voice is speaking: espeak-ng.")
        told.wait_for(timeout=40_000)
        assert "SpeechT5: lost its place" in told.inner_text()
        page.hang_up()
        assert page.errors == []


def test_a_caller_without_a_place_is_told_who_answers(
    duplex: ServerProcess, browser_path: str
) -> None:
    with chromium(browser_path, *ALLOW_MICROPHONE) as browser:
        first, second = CallPage(browser, duplex.url), CallPage(browser, duplex.url)
        for page in (first, second):
            choose(page, "s2s")
            page.call()
        second.wait("maata.state.status.engine === 'cascade'")
        assert "Another engine answers this call: Cascade" in second.banner()
        first.hang_up()
        second.hang_up()
    duplex.wait_active(0)
