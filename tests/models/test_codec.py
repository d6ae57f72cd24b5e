"""The codec on tiny real Mimis: kept in a directory, refused when damaged, the same in a stream."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from moshi.models import loaders
from moshi.models.compression import MimiModel
from moshi.utils.compile import no_compile
from safetensors.torch import load_file, save_file

from models import codec
from models.codec import CodecError

FRAME = 1_920


def config(bins: int = 32) -> codec.Config:
    """24 kHz, 12.5 Hz, four codebooks."""
    shape = copy.deepcopy(loaders._mimi_config)
    shape["codebooks"] = 4
    shape["seanet"].update(dimension=16, n_filters=2, ratios=[4, 5, 6, 8])
    shape["quantizer"].update(
        dimension=8, n_q=4, bins=bins, input_dimension=16, output_dimension=16
    )
    shape["transformer"].update(
        d_model=16,
        num_heads=2,
        num_layers=1,
        dim_feedforward=32,
        context=24,
        input_dimension=16,
        output_dimensions=[16],
    )
    return shape


@pytest.fixture
def mimi() -> MimiModel:
    """Random weights large enough to be heard, codebooks spread over what the encoder says."""
    torch.manual_seed(0)
    made = codec.build(config())
    made.requires_grad_(False)
    for parameter in made.parameters():
        parameter.mul_(2.0)
    latent = made._encode_to_unquantized_latent(torch.from_numpy(voice(40))[None, None])
    for part in codec.quantizers(made):
        size = part.input_proj(latent).std()
        for book in codec.codebooks(part):
            book.embedding_sum.normal_().mul_(3.0 * size)
            book.cluster_usage.fill_(3.0)
            size = size / 2
    return made


def voice(frames: int, seed: int = 0) -> np.ndarray:
    """A gliding harmonic sound with noise, float32 [1920 * frames]."""
    rng = np.random.default_rng(seed)
    seconds = np.arange(frames * FRAME) / codec.SAMPLE_RATE
    phase = 2 * np.pi * np.cumsum(150 + 60 * np.sin(3 * seconds)) / codec.SAMPLE_RATE
    sound = sum(np.sin(k * phase) / k for k in range(1, 12))
    envelope = 0.5 + 0.5 * np.sin(2 * np.pi * 2.3 * seconds)
    return (0.1 * envelope * sound + 0.01 * rng.standard_normal(len(seconds))).astype(np.float32)


def test_a_directory_gives_back_the_codec(mimi: MimiModel, tmp_path: Path) -> None:
    folder = codec.save(mimi, config(), tmp_path / "codec")
    stored = load_file(folder / codec.WEIGHTS)
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16}
    again = codec.load(folder)
    assert {p.dtype for p in again.parameters()} == {torch.float32}
    assert not any(p.requires_grad for p in again.parameters())
    assert not again.training
    assert (again.frame_size, again.sample_rate, again.num_codebooks) == (FRAME, 24_000, 4)
    sound = voice(20)
    codes = codec.codes_of(mimi, sound)
    assert codes.dtype == np.int64
    assert codes.shape == (4, 20)
    assert len(np.unique(codes)) > 8  # they do tell sounds apart
    # fp16 moves a latent that lies between two centroids to the other one now and then.
    assert np.mean(codec.codes_of(again, sound) == codes) > 0.95
    before, after = codec.pcm_of(mimi, codes), codec.pcm_of(again, codes)
    assert before.dtype == np.float32
    assert before.shape == (20 * FRAME,)
    assert np.abs(before).max() > 1e-3
    np.testing.assert_allclose(after, before, atol=0.01 * float(np.abs(before).max()))


def test_what_is_saved_does_not_depend_on_how_often_codes_were_used(
    mimi: MimiModel, tmp_path: Path
) -> None:
    """Running sums of a long training leave fp16's range; centroids do not."""
    codes = codec.codes_of(mimi, voice(6))
    for book in codec.codebooks(*codec.quantizers(mimi)):
        book.embedding_sum.mul_(1e6)
        book.cluster_usage.mul_(1e6)
    codec.forget_centroids(mimi)
    again = codec.load(codec.save(mimi, config(), tmp_path / "codec"))
    assert np.mean(codec.codes_of(again, voice(6)) == codes) > 0.9


def test_frame_by_frame_is_what_it_is_in_one_piece(mimi: MimiModel) -> None:
    sound = torch.from_numpy(np.stack([voice(12), voice(12, seed=1)]))[:, None]  # [2, 1, T]
    with torch.no_grad(), no_compile():
        codes = mimi.encode(sound)
        audio = mimi.decode(codes)
        with mimi.streaming(2):
            pieces = [mimi.encode(piece) for piece in sound.split(FRAME, -1)]
            heard = [mimi.decode(piece) for piece in pieces]
    assert torch.equal(torch.cat(pieces, -1), codes)
    assert {piece.shape[-1] for piece in heard} == {FRAME}
    scale = float(audio.abs().max())
    torch.testing.assert_close(torch.cat(heard, -1), audio, atol=1e-4 * scale, rtol=0)


def test_what_comes_later_changes_nothing_before(mimi: MimiModel) -> None:
    sound, other = voice(10), voice(10)
    other[6 * FRAME :] = np.random.default_rng(1).uniform(-0.9, 0.9, 4 * FRAME)
    a, b = codec.codes_of(mimi, sound), codec.codes_of(mimi, other)
    assert np.array_equal(a[:, :6], b[:, :6])
    assert not np.array_equal(a, b)


def test_a_recording_is_filled_up_to_whole_frames(mimi: MimiModel) -> None:
    assert codec.codes_of(mimi, voice(3)[: 2 * FRAME + 1]).shape == (4, 3)
    assert codec.codes_of(mimi, np.zeros(1, np.float32)).shape == (4, 1)
    assert codec.pcm_of(mimi, np.zeros((2, 3), np.int64)).shape == (3 * FRAME,)  # fewer codebooks


def damaged(folder: Path, what: str) -> None:
    weights, shape = folder / codec.WEIGHTS, folder / codec.CONFIG
    stored = load_file(weights)
    if what == "no config":
        shape.unlink()
    elif what == "config is no json":
        shape.write_text("{")
    elif what == "config lacks a part":
        parts = json.loads(shape.read_text())
        del parts["quantizer"]
        shape.write_text(json.dumps(parts))
    elif what == "unknown key":
        parts = json.loads(shape.read_text())
        parts["seanet"]["colour"] = "blue"
        shape.write_text(json.dumps(parts))
    elif what == "another rate":
        shape.write_text(json.dumps({**json.loads(shape.read_text()), "sample_rate": 16_000}))
    elif what == "no weights":
        weights.unlink()
    elif what == "cut off":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif what == "another shape":
        shape.write_text(json.dumps(config(bins=64)))
    elif what == "a tensor is missing":
        del stored["quantizer.rvq_first.input_proj.weight"]
        save_file(stored, weights)
    elif what == "a tensor too many":
        save_file({**stored, "extra": torch.zeros(1)}, weights)
    elif what == "not a number":
        stored["upsample.convtr.convtr.convtr.weight"][0] = torch.nan
        save_file(stored, weights)


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("no config", r"config.json is missing: .*maata train codec"),
        ("config is no json", "is not JSON .*copy the codec again"),
        ("config lacks a part", "lacks quantizer"),
        ("unknown key", "colour"),
        ("another rate", "16000 Hz"),
        ("no weights", "model.safetensors is missing: copy"),
        ("cut off", "is damaged .*copy or train"),
        ("another shape", r"is \[32.*asks for \[64.*belong to different codecs"),
        ("a tensor is missing", "lacks quantizer.rvq_first.input_proj.weight"),
        ("a tensor too many", "holds extra"),
        ("not a number", "upsample.convtr.convtr.convtr.weight holds numbers that are none"),
    ],
)
def test_a_damaged_directory_says_what_is_wrong(
    mimi: MimiModel, tmp_path: Path, what: str, sentence: str
) -> None:
    folder = codec.save(mimi, config(), tmp_path / "codec")
    damaged(folder, what)
    with pytest.raises(CodecError, match=sentence):
        codec.load(folder)


def test_a_file_as_moshi_ships_it_is_read(
    mimi: MimiModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the shape is small: that file is 385 MB."""
    parts = {key: value for key, value in config().items() if key != "codebooks"}
    monkeypatch.setattr(loaders, "_mimi_config", parts)
    monkeypatch.setattr(codec, "CODEBOOKS", 4)
    state = {name: tensor.contiguous() for name, tensor in mimi.state_dict().items()}
    save_file(state, tmp_path / loaders.MIMI_NAME)
    sound = voice(5)
    assert np.array_equal(codec.codes_of(codec.load(tmp_path), sound), codec.codes_of(mimi, sound))


def test_what_is_no_sound_and_what_are_no_codes_is_refused(mimi: MimiModel) -> None:
    for pcm in (np.zeros((2, FRAME), np.float32), np.zeros(0, np.float32)):
        with pytest.raises(CodecError, match="mono samples"):
            codec.codes_of(mimi, pcm)
    with pytest.raises(CodecError, match="NaN"):
        codec.codes_of(mimi, np.full(FRAME, np.nan, np.float32))
    with pytest.raises(CodecError, match=r"0\.\.31"):
        codec.pcm_of(mimi, np.full((4, 2), 32))
    with pytest.raises(CodecError, match=r"0\.\.31"):
        codec.pcm_of(mimi, np.full((4, 2), -2))  # what Moshi gives where it generated nothing
    with pytest.raises(CodecError, match="5 codebooks"):
        codec.pcm_of(mimi, np.zeros((5, 2), np.int64))
    with pytest.raises(CodecError, match="integers"):
        codec.pcm_of(mimi, np.zeros((4, 2), np.float32))
