"""The starter profile as shipped: a caller is answered in SpeechT5's voice, and can follow."""

from collections.abc import Iterator

import pytest

from maata.profile import load_profile
from models.audio import resample, to_float32
from models.telugu.spoken import speakable
from models.telugu.standard import te_std
from models.telugu.wer import char_errors
from models.weights import resolve
from models.whisper import Recognizer
from pipelines.engines import Engines
from tests.live import QUESTION, Live, calling, serving

pytestmark = pytest.mark.slow
OUT_RATE = 24_000


@pytest.fixture(scope="module")
def shipped() -> Iterator[Live]:
    profile = load_profile("starter")
    assert (profile.cascade.tts.engine, profile.cascade.tts.model) == ("speecht5", "starter/tts")
    engines = Engines(profile)
    engines.check()
    engines.load()
    with serving(profile, engines) as live:
        yield live


async def test_the_answer_is_speecht5s_and_is_understood(shipped: Live) -> None:
    async with calling(shipped.url) as caller:
        ended = await caller.speak(QUESTION, quiet=1.0)
        await caller.until(lambda: caller.loud(ended), 30)
        await caller.until(lambda: "bot-stopped-speaking" in caller.kinds(), 30)
        assert caller.told("voice") == []  # nobody had to stand in
        said = " ".join(data["text"] for data in caller.of("bot-tts-text"))
        heard = resample(to_float32(caller.heard(ended)), OUT_RATE, 16_000)
    text = Recognizer.load(resolve("starter/asr"), threads=1).transcribe(heard).text
    errors = char_errors(te_std(speakable(said)), te_std(text))
    assert errors.length > 8
    assert errors.rate < 0.2, (said, text)
