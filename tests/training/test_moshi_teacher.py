"""What the codec's letter head tells a Moshi, and when."""

from pathlib import Path

import pytest
import torch

from models import codec
from models.codec import CodecError, quantizers
from models.moshi_config import build
from models.weights import resolve
from tests.training.tiny_dialogues import write_codec
from training.asr_tokenizer import LETTER_COUNT
from training.codec_letters import A_FRAME, LETTERS, LetterHead, read_head, write_head
from training.moshi_network import BEYOND, Batch, Trainee
from training.moshi_preset import LossWeights, Shape
from training.moshi_teacher import LATE, Teacher, distance, find_teacher

SHAPE = Shape(32, 2, 2, 40, 16, 1, 2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(3)
    folder = write_codec(tmp_path_factory.mktemp("codec"))
    write_head(LetterHead(codec.load(folder).dimension), folder)
    return folder


@pytest.fixture
def teacher(folder: Path) -> Teacher:
    found = find_teacher(folder, codec.load(folder))
    assert found
    return found


def test_a_head_lies_beside_its_codec(folder: Path) -> None:
    width = codec.load(folder).dimension
    torch.manual_seed(5)
    head = LetterHead(width)
    write_head(head, folder)
    read = read_head(folder, width)
    assert read
    x = torch.randn(2, width, 7)
    assert torch.allclose(head(x), read(x), atol=1e-2)  # fp16
    assert (folder / LETTERS).stat().st_mode & 0o044 == 0o044  # others may read it too


def test_the_shipped_codec_brings_its_head() -> None:
    shipped = resolve("starter/codec")
    assert find_teacher(shipped, codec.load(shipped))


def test_a_codec_without_a_head_teaches_nothing(tmp_path: Path) -> None:
    plain = write_codec(tmp_path)
    assert find_teacher(plain, codec.load(plain)) is None


def test_a_head_that_does_not_fit_is_refused(folder: Path, tmp_path: Path) -> None:
    other = write_codec(tmp_path)
    mimi = codec.load(other)
    write_head(LetterHead(int(mimi.dimension) + 1), other)
    with pytest.raises(CodecError, match=f"{LETTERS} does not fit the codec"):
        find_teacher(other, mimi)
    (other / LETTERS).write_bytes(b"half a file")
    with pytest.raises(CodecError, match="delete it"):
        find_teacher(other, mimi)


def test_it_spells_what_its_head_reads_a_little_later(folder: Path, teacher: Teacher) -> None:
    mimi = codec.load(folder)
    heard = torch.randint(0, mimi.cardinality, (2, 12))
    told, counts = teacher.spell(heard)
    head = read_head(folder, mimi.dimension)
    assert head
    with torch.no_grad():
        direct = head(quantizers(mimi)[0].decode(heard[:, None]))
    assert told.shape == (2, 12, A_FRAME, LETTER_COUNT)
    assert torch.allclose(told[:, LATE:].flatten(1, 2), direct[:, : -LATE * A_FRAME], atol=1e-5)
    assert counts.tolist() == [[False] * LATE + [True] * (12 - LATE)] * 2


def test_it_tells_nothing_that_the_model_cannot_know_yet(teacher: Teacher) -> None:
    """A step has read the frames before it; of the one it has not, only 20 ms hang on the next."""
    heard = torch.randint(0, 16, (1, 12))
    later = heard.clone()
    later[:, 8:] = (later[:, 8:] + 1) % 16  # step 8 has read frames up to 7
    before, after = teacher.spell(heard)[0], teacher.spell(later)[0]
    assert torch.equal(before[:, :8], after[:, :8])
    assert torch.equal(before[:, 8, : A_FRAME - 1], after[:, 8, : A_FRAME - 1])
    assert not torch.equal(before[:, 9], after[:, 9])


def test_what_nobody_encoded_does_not_count(teacher: Teacher) -> None:
    heard = torch.randint(0, 16, (1, 12))
    heard[:, 6:] = BEYOND
    _, counts = teacher.spell(heard)
    assert counts.nonzero()[:, 1].tolist() == list(range(LATE, 6 + LATE))


def test_the_distance_is_none_from_what_is_told(teacher: Teacher) -> None:
    told, counts = teacher.spell(torch.randint(0, 16, (2, 12)))
    assert float(distance(told, told, counts)) == pytest.approx(0.0, abs=1e-5)
    even = torch.full_like(told, 1 / LETTER_COUNT).log()
    entropy = -(told.exp() * told)[counts].sum() / counts.sum()
    far = float(distance(even, told, counts))
    assert far == pytest.approx(
        A_FRAME * float(torch.tensor(LETTER_COUNT).log()) - float(entropy), rel=1e-3
    )


def test_a_model_learns_from_it_and_it_stays_as_it_is(teacher: Teacher) -> None:
    torch.manual_seed(1)
    trainee = Trainee(build(SHAPE.config(200, 8, 16)), teacher).train()
    names = {name.split(".")[0] for name, _ in trainee.named_parameters()}
    assert names == {"lm", "hearing_head", "user_head", "letter_head", "intent_head"}
    batch = Batch(
        torch.randint(4, 16, (2, 17, 32)),
        torch.full((2, 32), BEYOND),
        torch.zeros(0, dtype=torch.int64),
        (None, None),
        (None, None),
    )
    optimizer = torch.optim.Adam(trainee.parameters(), 1e-2)
    found = []
    for _ in range(20):
        losses = trainee.losses(batch, LossWeights(taught=1.0))
        found.append(losses.items()["taught"])
        optimizer.zero_grad()
        losses.taught.backward()
        optimizer.step()
    assert found[-1] < 0.5 * found[0]
    assert trainee.losses(batch, LossWeights(taught=0.0)).items()["taught"] == 0.0
