"""SpeechT5 as it is served: streaming equals offline, clauses share it, and its guards hold."""

from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch

from models.speecht5 import (
    LONGEST_TEXT,
    PitchUnsupported,
    SpeechBroken,
    SpeechT5,
    TextTooLong,
    Utterance,
)
from models.speecht5_clauses import LONGEST_CLAUSE, split
from models.speecht5_decoder import Decoder, DecoderFull
from models.speecht5_graphs import Graphs, graphs
from models.speecht5_layout import SpeechT5Parts, ready
from models.speecht5_mel import HOP
from models.speecht5_pieces import Pieces, Stretch, vocoder_reach
from models.speecht5_step import Step
from models.speecht5_voices import Decoding, UnknownVoice
from models.speecht5_watch import FREE, HELD, LINGER, Watch
from tests.models import tiny_speecht5

TEXT = "నమస్కారం, మీరు ఎలా ఉన్నారు?"
LONG = "ఈ రోజు వాతావరణం చాలా బాగుంది, సాయంత్రం వాన రావచ్చు అని చెప్పారు. " * 40


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> SpeechT5Parts:
    torch.set_num_threads(1)
    return tiny_speecht5.parts(tmp_path_factory.mktemp("voice"))


@pytest.fixture
def lost(tmp_path: Path) -> SpeechT5Parts:
    """A model whose attention nobody leads: it stays where random weights put it."""
    return tiny_speecht5.parts(tmp_path, Decoding())


def said(model: SpeechT5, *utterances: Utterance) -> list[np.ndarray]:
    while model.step():
        pass
    return [np.concatenate([*u.take(), np.zeros(0, np.int16)]) for u in utterances]


# -- the decoder --------------------------------------------------------------------------------


def test_the_decoder_computes_what_transformers_computes(
    parts: SpeechT5Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, ids = parts.acoustic, parts.characters.encode(TEXT)
    prenet = model.speecht5.decoder.prenet
    monkeypatch.setattr(prenet, "_consistent_dropout", lambda x, p: 2 * x, raising=True)
    monkeypatch.setattr(Decoder, "_kept", lambda self, row: torch.ones(2, 16))
    speaker = parts.voices.embedding("ravi", "sad")
    with torch.no_grad():
        wanted = model.generate_speech(
            cast(torch.LongTensor, torch.tensor([ids])),
            speaker[None],
            threshold=99.0,
            maxlenratio=2.0,
        )
    assert isinstance(wanted, torch.Tensor)
    decoder = Decoder(model, Decoding(), rows=2)
    decoder.join(ids, speaker, seed=0, limit=400)
    made = [decoder.step()[0][1].frames for _ in range(len(wanted) // 2)]
    assert torch.allclose(decoder.postnet(torch.cat(made)), wanted, atol=1e-4)


def test_rows_do_not_hear_each_other(parts: SpeechT5Parts) -> None:
    """Whoever joins, leaves or moves into a free place, a clause is spoken the same."""
    decoder = Decoder(parts.acoustic, tiny_speecht5.HELD, rows=3)
    texts = [parts.characters.encode(t) for t in (TEXT, "అవును", "సరే, ధన్యవాదాలు అండి")]
    speaker = parts.voices.embedding("priya")
    alone = []
    for number, ids in enumerate(texts):
        row = decoder.join(ids, speaker, seed=number, limit=100)
        alone.append(torch.cat([decoder.step()[0][1].frames for _ in range(12)]))
        decoder.leave(row)
    together: dict[int, list[torch.Tensor]] = {0: [], 1: [], 2: []}
    rows = {}
    for step in range(18):
        for number, (begin, end) in enumerate(((0, 12), (2, 14), (5, 17))):
            if step == begin:
                rows[number] = decoder.join(texts[number], speaker, seed=number, limit=100)
            if step == end:
                decoder.leave(rows[number])
        for row, made in decoder.step():
            together[next(n for n, r in rows.items() if r is row)].append(made.frames)
    for number in range(3):
        assert torch.allclose(torch.cat(together[number]), alone[number], atol=1e-4)


@pytest.mark.parametrize("held", [tiny_speecht5.HELD, Decoding()])
def test_fixed_shapes_compute_the_same(parts: SpeechT5Parts, held: Decoding) -> None:
    """As a GPU would have recorded them: more rows, steps and characters than are in use."""
    texts = [parts.characters.encode(t) for t in (TEXT, "అవును", "సరే, ధన్యవాదాలు అండి")]
    speaker = parts.voices.embedding("priya")
    made: list[list[tuple[torch.Tensor, torch.Tensor, float, float]]] = []
    for fixed in (False, True):
        decoder = Decoder(parts.acoustic, held, rows=5, steps=80, fixed=fixed)
        kept, rows, found = {}, [], []
        for step in range(70):  # past the 64 steps of the smallest shape
            if step in (0, 3, 5):
                ids = texts[len(rows)]
                rows.append(decoder.join(ids, speaker, seed=len(rows), limit=80))
                kept[id(rows[-1])] = len(ids)
            if step == 30:
                decoder.leave(rows[0])
            for row, one in decoder.step():
                look = one.attention[: kept[id(row)]]
                found.append((one.frames, look, one.stop, one.at))
        made.append(found)
    assert len(made[0]) == len(made[1]) == 30 + 67 + 65
    for eager, recorded in zip(*made, strict=True):
        assert torch.allclose(eager[0], recorded[0], atol=1e-4)
        assert torch.allclose(eager[1], recorded[1], atol=1e-5)
        assert eager[2:] == pytest.approx(recorded[2:], abs=1e-4)


def test_shapes_are_few_and_hold_every_step(parts: SpeechT5Parts) -> None:
    step = Step(parts.acoustic, tiny_speecht5.HELD, rows=6, steps=200, characters=16)
    fixed = Graphs(step)
    shapes = set(fixed.shapes())
    assert shapes == {(r, k) for r in (1, 2, 4, 6) for k in (64, 128, 200)}
    for count in range(1, 7):
        for keys in (1, 63, 64, 65, 128, 199, 200):
            rows, most = fixed.shape(count, keys)
            assert (rows, most) in shapes
            assert rows >= count
            assert most >= keys
    assert graphs(step) is None  # there is nothing to record on a CPU


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_recordings_compute_the_same(tmp_path: Path) -> None:
    made = tiny_speecht5.parts(tmp_path)
    acoustic = ready(made.acoustic, "cuda")
    speaker, ids = made.voices.embedding("priya"), made.characters.encode(TEXT)
    found = []
    for fixed in (False, None):
        decoder = Decoder(acoustic, tiny_speecht5.HELD, rows=3, steps=80, fixed=fixed)
        assert decoder.recorded == (fixed is None)
        for seed in (1, 2):
            decoder.join(ids, speaker, seed=seed, limit=80)
        steps = [decoder.step() for _ in range(70)]
        found.append(torch.stack([one.frames for step in steps for _, one in step]))
    assert torch.allclose(found[0], found[1], atol=1e-3)


def test_no_more_rows_than_there_are(parts: SpeechT5Parts) -> None:
    decoder = Decoder(parts.acoustic, tiny_speecht5.HELD, rows=1, characters=8)
    speaker = parts.voices.embedding("priya")
    with pytest.raises(ValueError, match="9 characters"):
        decoder.join([4] * 9, speaker, seed=0, limit=9)
    decoder.join([4, 2], speaker, seed=0, limit=9)
    with pytest.raises(DecoderFull):
        decoder.join([4, 2], speaker, seed=0, limit=9)


def test_held_attention_stays_near_where_it_was(parts: SpeechT5Parts) -> None:
    decoder = Decoder(parts.acoustic, Decoding(behind=1, ahead=2), rows=1)
    ids = parts.characters.encode(TEXT)
    decoder.join(ids, parts.voices.embedding("arjun"), seed=3, limit=100)
    at = 0.0
    for _ in range(20):
        made = decoder.step()[0][1]
        looked = torch.nonzero(made.attention).flatten()
        assert round(at) - 1 <= int(looked.min())
        assert int(looked.max()) <= min(round(at) + 2, len(ids) - 1)
        at = made.at


# -- pieces -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shape",
    [
        {},  # the hub's strides, kernels and dilations
        {
            "upsample_rates": [8, 8, 4],
            "upsample_kernel_sizes": [16, 16, 8],
            "resblock_kernel_sizes": [3, 7],
            "resblock_dilation_sizes": [[1, 3], [1, 3]],
        },
    ],
)
def test_the_vocoder_in_pieces_equals_the_whole(shape: dict) -> None:
    vocoder = tiny_speecht5.vocoder(**shape).eval()
    reach = vocoder_reach(vocoder.config)
    torch.manual_seed(1)
    mel = torch.randn(90, 80)
    with torch.no_grad():
        whole = vocoder(mel)
        for sizes in ((1, 2, 3, 5, 34, 1, 44), (90,), (60, 30)):
            pieces = Pieces(vocoder, reach, HOP)
            cut = mel.split(sizes)
            made = [pieces.push(p, last=n == len(cut) - 1) for n, p in enumerate(cut)]
            assert torch.allclose(torch.cat(made), whole, atol=1e-4)
        short = Pieces(vocoder, 1, HOP)  # with too little around them the joins are wrong
        made = [short.push(p, last=n == 2) for n, p in enumerate(mel.split(30))]
    assert float(whole.abs().max()) > 1e-2
    assert not torch.allclose(torch.cat(made), whole, atol=1e-4)


def test_the_pace_changes_alike_in_pieces_and_whole() -> None:
    frames = torch.arange(50, dtype=torch.float32)[:, None].repeat(1, 2)
    for rate in (0.5, 0.8, 1.0, 1.3, 2.0):
        whole = Stretch(rate).push(frames, last=True)
        pieces = Stretch(rate)
        cut = frames.split([1, 3, 16, 2, 28])
        made = torch.cat([pieces.push(p, last=n == 4) for n, p in enumerate(cut)])
        assert torch.allclose(made, whole)
        assert len(whole) == pytest.approx(50 / rate, abs=1.5)
        assert whole[10, 0] == pytest.approx(10 * rate, abs=1e-4)


@pytest.mark.parametrize("fixed", [None, True])
def test_streaming_equals_offline(parts: SpeechT5Parts, fixed: bool | None) -> None:
    model = SpeechT5(parts, fixed=fixed)
    utterance = model.open(TEXT.rstrip("?"), "lakshmi", "calm", seed=5)
    pieces = [len(p) for _ in range(500) if model.step() or True for p in utterance.take()]
    assert len(pieces) > 2
    (streamed,) = said(model, model.open("నమస్కారం", "lakshmi", "calm", seed=5))
    decoder = Decoder(parts.acoustic, tiny_speecht5.HELD)
    ids = parts.characters.encode("నమస్కారం")
    speaker = parts.voices.embedding("lakshmi", "calm")
    row = decoder.join(ids, speaker, seed=5, limit=100)
    watch, frames = Watch(len(ids), row.limit, held=True), []
    while not watch.over:
        made = decoder.step()[0][1]
        watch.step(made.at, made.stop)
        frames.append(made.frames)
    with torch.no_grad():
        whole = parts.vocoder(decoder.postnet(torch.cat(frames))).numpy()
    assert len(streamed) == len(whole) == HOP * 2 * len(frames)
    assert np.abs(streamed / 32767.0 - whole).max() < 1e-4


# -- utterances ---------------------------------------------------------------------------------


def test_calls_share_the_model_and_keep_their_own_words(parts: SpeechT5Parts) -> None:
    model = SpeechT5(parts, rows=2)
    texts = [TEXT, "సరే.", "ధన్యవాదాలు, మళ్ళీ కలుద్దాం."]  # one of them waits for a row
    alone = [said(model, model.open(t, "arjun", seed=n))[0] for n, t in enumerate(texts)]
    together = said(model, *[model.open(t, "arjun", seed=n) for n, t in enumerate(texts)])
    for one, other in zip(alone, together, strict=True):
        assert len(one) == len(other)
        assert np.abs(one.astype(int) - other).max() <= 4
    assert model.speaking == 0


def test_an_interruption_ends_it_within_a_step(parts: SpeechT5Parts) -> None:
    model = SpeechT5(parts, rows=1)
    utterance = model.open(LONG[:1000], "priya")
    while not (heard := utterance.take()):
        model.step()
    assert sum(map(len, heard)) < 2 * 16_000
    utterance.close()
    assert model.step() is False
    assert utterance.take() == []
    (other,) = said(model, model.open("సరే", "priya"))  # the row is free
    assert len(other)


def test_text_is_cut_into_clauses() -> None:
    clauses = split(LONG[:LONGEST_TEXT], 6)
    assert all(1 <= len(clause.split()) <= 7 for clause in clauses)
    assert " ".join(clauses).split() == LONG[:LONGEST_TEXT].split()
    nonsense = split("క" * 1_900, 6)
    assert all(len(clause) <= LONGEST_CLAUSE for clause in nonsense)
    assert sum(clause.count("క") for clause in nonsense) == 1_900
    assert split("ధర ₹500", 6) == ["ధర ఐదు వందల రూపాయలు"]


@pytest.mark.parametrize("text", ["", "  ", "...", "?!", "\u200c"])
def test_nothing_to_say(parts: SpeechT5Parts, text: str) -> None:
    model = SpeechT5(parts)
    assert model.open(text, "priya").over
    assert list(model.stream(text, "priya")) == []


def test_two_thousand_characters(parts: SpeechT5Parts) -> None:
    model = SpeechT5(parts, rows=1)
    utterance = model.open(LONG[:LONGEST_TEXT], "priya")
    (sound,) = said(model, utterance)
    assert utterance.broken is None
    assert utterance.words == len(LONG[:LONGEST_TEXT].split())
    assert len(sound) > 20 * 16_000
    with pytest.raises(TextTooLong):
        model.open("క" * (LONGEST_TEXT + 1), "priya")


def test_bad_settings_are_named(parts: SpeechT5Parts) -> None:
    model = SpeechT5(parts)
    with pytest.raises(UnknownVoice, match="arjun, ravi, priya, lakshmi"):
        model.open(TEXT, "nobody")
    with pytest.raises(UnknownVoice, match="emotion 'bored'"):
        model.open(TEXT, "priya", "bored")
    with pytest.raises(PitchUnsupported):
        model.open(TEXT, "priya", pitch=1.2)
    with pytest.raises(ValueError, match="rate must lie between"):
        model.open(TEXT, "priya", rate=9)
    assert model.speaking == 0


def test_rate_changes_the_length(parts: SpeechT5Parts) -> None:
    model = SpeechT5(parts)
    lengths = [len(said(model, model.open("నమస్కారం", "ravi", rate=r, seed=1))[0]) for r in (1, 2)]
    assert lengths[1] == pytest.approx(lengths[0] / 2, abs=HOP)


def test_a_model_that_loses_its_place_is_tried_twice_and_named(lost: SpeechT5Parts) -> None:
    model = SpeechT5(lost, rows=1)
    with torch.no_grad():
        lost.acoustic.speech_decoder_postnet.prob_out.bias.fill_(-20.0)  # and never stops
    utterance = model.open("నమస్కారం అండి మీరు ఎలా ఉన్నారు", "priya", seed=0)
    said(model, utterance)
    assert utterance.broken is not None
    assert utterance.broken.fault in ("stuck", "repeated", "skipped", "runaway")
    assert sum(model.faults.values()) == 1 + utterance.retries
    with pytest.raises(SpeechBroken, match=r"after \d words"):
        list(model.stream("నమస్కారం అండి", "priya", seed=0))
    assert model.speaking == 0


# -- the watch ----------------------------------------------------------------------------------


def walked(path: list[float], *, characters: int = 30, stop_at: int = -1, held: bool) -> Watch:
    watch = Watch(characters, 200, held)
    for number, at in enumerate(path):
        watch.step(at, 0.9 if number == stop_at else 0.0)
        if watch.over or watch.fault:
            break
    return watch


def test_the_watch_tells_good_speech_from_lost() -> None:
    good = [n * 0.5 for n in range(59)]
    assert walked(good, stop_at=57, held=True).over
    assert walked(good, stop_at=57, held=False).over
    assert walked(good + [29.0] * LINGER, held=True).over  # never said that it was over
    early = walked(good, stop_at=20, held=True)
    assert not early.fault  # an early stop of a held model is not believed
    assert walked(good, stop_at=20, held=False).fault == "skipped"
    assert walked([*good[:20], 25.0], held=False).fault == "skipped"
    assert walked([*good[:40], 5.0, 5.2, 5.4], held=False).fault == "repeated"
    assert walked([*good[:20], 17.0], held=False).fault == ""  # the hub's may look ahead
    assert walked([*good[:20], 17.0], held=True).fault == "skipped"
    for held, limits in ((True, HELD), (False, FREE)):
        still = [*good[:20], *[10.2] * limits.stuck]
        assert walked([*still, 10.4], held=held).fault == "stuck"
        assert walked([*still, 11.0], held=held).fault == ""
    crawl = Watch(200, 60, held=True)
    for n in range(60):
        crawl.step(n * 0.6, 0.0)
    assert crawl.fault == "runaway"
