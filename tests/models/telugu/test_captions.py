"""Captions under random token splits: the text comes out whole, and never by halves."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.telugu.captions import (
    PAUSE_TOKENS,
    CaptionDecoder,
    CaptionStream,
    piece_bytes,
)
from models.telugu.standard import graphemes

CONSONANTS = "కఖగఘచజటఠడణతదధనపబభమయరలవశషసహళ"
SIGNS = ["", "ా", "ి", "ీ", "ు", "ూ", "ె", "ే", "ై", "ొ", "ో", "ౌ"]
ENDS = ["", "ం", "ః", "్", "్\u200c"]

aksharas = st.builds(
    lambda cluster, sign, end: "్".join(cluster) + (sign if "్" not in end else "") + end,
    st.lists(st.sampled_from(CONSONANTS), min_size=1, max_size=3),
    st.sampled_from(SIGNS),
    st.sampled_from(ENDS),
)
others = st.sampled_from(
    ["అ", "ఈ", " ", ", ", "?", "౯", "5", "OK", "é", "e\u0301", "😀", "👩‍👧", "🇮🇳", "₹"]
)
texts = st.lists(aksharas | aksharas | others, max_size=12).map("".join).map(str.lstrip)


def cut(data: bytes, at: list[int]) -> list[bytes]:
    borders = sorted({0, len(data), *(i % (len(data) + 1) for i in at)})
    return [data[a:b] for a, b in zip(borders, borders[1:], strict=False)]


def is_whole(shown: str, text: str) -> bool:
    clusters = graphemes(text)
    return graphemes(shown) == clusters[: len(graphemes(shown))] and text.startswith(shown)


@settings(deadline=None)  # a busy machine stalls anything
@given(texts, st.lists(st.integers(0, 1000), max_size=40))
def test_any_split_gives_the_text_and_never_half_of_a_grapheme(text: str, at: list[int]) -> None:
    decoder, shown = CaptionDecoder(), ""
    for data in cut(text.encode(), at):
        new = decoder.feed(data)
        assert "\ufffd" not in new
        shown += new
        assert is_whole(shown, text)
    shown += decoder.flush()
    assert shown == text


@settings(deadline=None)
@given(texts)
def test_at_most_one_grapheme_waits(text: str) -> None:
    decoder = CaptionDecoder()
    shown = "".join(decoder.feed(bytes([byte])) for byte in text.encode())
    assert len(graphemes(text)) - len(graphemes(shown)) <= 1


@settings(deadline=None)
@given(texts, st.lists(st.integers(0, 1000), max_size=20), st.lists(st.booleans(), max_size=40))
def test_pauses_anywhere_leave_every_shown_akshara_as_it_was(
    text: str, at: list[int], pauses: list[bool]
) -> None:
    """What is on the screen stays on the screen, whatever comes later."""
    decoder, shown = CaptionDecoder(), ""
    for i, data in enumerate(cut(text.encode(), at)):
        after = shown + decoder.feed(data)
        if i < len(pauses) and pauses[i]:
            after += decoder.pause()
        before = [cluster.rstrip("\u200c") for cluster in graphemes(shown)]
        now = [cluster.rstrip("\u200c") for cluster in graphemes(after)]
        # A pause between the halves of a flag or a family shows two pictures, as a terminal does.
        if not any(char in text for char in "🇮👩"):
            assert now[: len(before)] == before
        shown = after
    shown += decoder.flush()
    if not any(pauses):
        assert shown == text


@settings(deadline=None)
@given(st.binary(max_size=40), st.lists(st.integers(0, 1000), max_size=10))
def test_bytes_that_are_no_text_never_show(data: bytes, at: list[int]) -> None:
    decoder = CaptionDecoder()
    shown = "".join(decoder.feed(piece) for piece in cut(data, at)) + decoder.flush()
    assert "\ufffd" not in shown
    assert shown.encode().decode() == shown


def test_a_consonant_waits_for_its_vowel_sign_and_virama() -> None:
    decoder = CaptionDecoder()
    steps = [("న", ""), ("మ", "న"), ("స", "మ"), ("్", ""), ("క", ""), ("ా", ""), ("ర", "స్కా")]
    assert [decoder.feed(piece.encode()) for piece, _ in steps] == [shown for _, shown in steps]
    assert decoder.feed("ం".encode()) == ""
    assert decoder.feed(b" ") == "రం "
    assert decoder.flush() == ""


def test_a_late_sign_is_dropped_and_a_late_letter_kept_apart() -> None:
    decoder = CaptionDecoder()
    decoder.feed("బస్".encode())
    assert decoder.pause() == "స్"
    assert decoder.feed("తర".encode()) == "\u200cత"
    assert decoder.pause() == "ర"
    assert decoder.feed("ా".encode()) == ""
    assert decoder.feed(" ి".encode()) == " "
    assert decoder.feed("క".encode()) == ""
    assert decoder.flush() == "క"


@pytest.mark.parametrize(
    ("piece", "data"),
    [("▁మాట", " మాట".encode()), ("<0xE0>", b"\xe0"), ("<0xe0>", b"\xe0"), ("<0x>", b"<0x>")],
)
def test_pieces_become_bytes(piece: str, data: bytes) -> None:
    assert piece_bytes(piece) == data


def test_byte_fallback_reaches_nobody() -> None:
    """As Moshi's English vocabulary writes Telugu: a byte a token, padding between words."""
    pieces = [b"", b"", b"", b"", *(bytes([b]) for b in range(256)), " సరే".encode()]
    stream = CaptionStream(pieces)
    ids = [4 + byte for byte in "మాట".encode()]
    shown = [stream.token(i) for i in [3, 0, 260, *ids, *[3] * PAUSE_TOKENS, 0, 3, 9999, -2]]
    assert "".join(shown) == "సరేమాట"
    assert [text for text in shown if text] == ["స", "రే", "మా", "ట"]
    assert shown.index("ట") == 3 + len(ids) + PAUSE_TOKENS - 1
    assert stream.token(260) == " స"
    assert stream.flush() == "రే"


def test_control_characters_of_byte_tokens_are_not_shown() -> None:
    decoder = CaptionDecoder()
    shown = decoder.feed(b"\x00") + decoder.feed("సరే\x07 మీరు\x1b".encode()) + decoder.flush()
    assert shown == "సరే మీరు"
