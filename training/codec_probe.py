"""Measures what a codec's codes tell of the words: a small recogniser that gets nothing but codes.

    python -m training.codec_probe weights/starter/codec --data DIR [--steps 1500] [--out DIR]

Trains the same small network from scratch, for the same steps, on three inputs: all codes, the
first (semantic) code alone, and the log-mel spectrum the codes stand for, which bounds what can be
hoped for at this size and effort. Tests on sentences that nobody trained on: callers in unseen
voices, clean and damaged, and the agent's own voices. Prints a line each and one JSON object last:
letter error rates (te-std CER of the greedy CTC path, no language model) as fractions.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from moshi.models.compression import MimiModel
from torch import Tensor, nn
from torch.nn import functional as F

from models.audio import resample
from models.codec import SAMPLE_RATE, codes_of, load
from models.espeak import variants
from models.mel import BANDS, log_mel
from models.mel import SAMPLE_RATE as HEARD_RATE
from models.telugu.wer import cer
from training import corpus
from training.asr_tokenizer import LETTER_COUNT, letter_ids
from training.codec_batches import damage
from training.codec_eval import greedy
from training.codec_memory import keep_freed_memory
from training.codec_preset import FRAME
from training.codec_speech import Job, Recordings, caller_jobs, record, reply_jobs
from training.utterances import HELD_OUT_VARIANTS, progress_line, training_variants

WIDTH = 256
ROWS = 32
RATE, WARMUP = 2e-3, 100
MEL_FRAMES = 8  # of 10 ms in a frame of 80 ms
INPUTS = ("codes", "first_code", "mel")

Heard = Tensor  # int64 [K, S] of codes, float32 [640, S] of mel
Item = tuple[Heard, str]


class Probe(nn.Module):
    """Codes int64 [B, K, S], or features float32 [B, C, S], to letters every 20 ms."""

    def __init__(self, bins: int, codebooks: int, width: int = WIDTH) -> None:
        """`bins` 0: the input is the mel spectrum."""
        super().__init__()
        self.bins = bins
        self.enter = (
            nn.Embedding(codebooks * bins, width) if bins else nn.Linear(BANDS * MEL_FRAMES, width)
        )
        self.near = nn.Conv1d(width, width, 3, padding=1)
        self.along = nn.GRU(width, width, batch_first=True, bidirectional=True)
        self.spread = nn.Linear(2 * width, 4 * width)
        self.out = nn.Linear(width, LETTER_COUNT)

    def forward(self, heard: Tensor) -> Tensor:
        """Log probabilities [B, 4 S, letters], blank first."""
        if self.bins:
            offsets = self.bins * torch.arange(heard.shape[1])[:, None]
            x = self.enter(heard + offsets).sum(1)  # [B, S, width]: as a Moshi hears its codes
        else:
            x = self.enter(heard.transpose(1, 2))
        x = x + F.gelu(self.near(x.transpose(1, 2)).transpose(1, 2))
        x = F.gelu(self.spread(self.along(x)[0])).unflatten(2, (4, -1)).flatten(1, 2)
        return self.out(x).log_softmax(-1)


def hear(mimi: MimiModel, jobs: Sequence[Job], cache: Path, *, noisy: float) -> dict[str, list]:
    """What each input of INPUTS gets of every job, `noisy` of them damaged; and the texts."""
    rng = np.random.default_rng(0)
    heard: dict[str, list] = {name: [] for name in (*INPUTS, "text")}
    progress = progress_line("coding")
    recordings = Recordings(record(jobs, cache, progress=progress_line("speaking")))
    for index, job in enumerate(recordings.jobs):
        pcm = recordings.pcm(index)
        if rng.random() < noisy:
            pcm = damage(pcm, rng)[0]
        # Speech begins anywhere in a frame, and its end is not cut off.
        pcm = np.pad(pcm, (int(rng.integers(FRAME)), FRAME + FRAME // 2))
        codes = codes_of(mimi, pcm)
        heard["codes"].append(torch.from_numpy(codes))
        heard["first_code"].append(torch.from_numpy(codes[:1]))
        heard["mel"].append(_stacked_mel(pcm, codes.shape[1]))
        heard["text"].append(jobs[job].text)
        if (index + 1) % 200 == 0 or index + 1 == len(recordings):
            progress(index + 1, len(recordings))
    return heard


def _stacked_mel(pcm: np.ndarray, frames: int) -> Tensor:
    """The mel frames of each 80 ms as one vector, [640, frames]."""
    mel = log_mel(resample(pcm, SAMPLE_RATE, HEARD_RATE))[:, : frames * MEL_FRAMES]
    mel = np.pad(mel, ((0, 0), (0, frames * MEL_FRAMES - mel.shape[1])), mode="edge")
    return torch.from_numpy(
        mel.reshape(BANDS, frames, MEL_FRAMES).transpose(0, 2, 1).copy()
    ).reshape(BANDS * MEL_FRAMES, frames)


def _stack(rows: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Rows [C, S] of several lengths -> [B, C, longest] filled with zeros, and lengths [B]."""
    longest = max(row.shape[1] for row in rows)
    filled = torch.stack([F.pad(row, (0, longest - row.shape[1])) for row in rows])
    return filled, torch.tensor([row.shape[1] for row in rows])


def train(
    probe: Probe, items: list[Item], steps: int, *, seed: int = 0, say: Callable = print
) -> None:
    """Adam with a warm-up and a straight fall to nothing; batches of similar length."""
    optimizer = torch.optim.AdamW(probe.parameters(), lr=RATE, weight_decay=0.01)
    rng = np.random.default_rng(seed)
    order = sorted(range(len(items)), key=lambda i: items[i][0].shape[1])
    for step in range(steps):
        rate = RATE * min(1.0, (step + 1) / WARMUP, 2.0 * (steps - step) / steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        first = int(rng.integers(max(1, len(order) - ROWS + 1)))
        chosen = [items[i] for i in order[first : first + ROWS]]
        heard, frames = _stack([h for h, _ in chosen])
        letters = [torch.tensor(letter_ids(text)) for _, text in chosen]
        counts = torch.tensor([len(row) for row in letters])
        log_probs = probe(heard).transpose(0, 1)
        loss = (
            F.ctc_loss(
                log_probs,
                torch.cat(letters),
                4 * frames,
                counts,
                reduction="sum",
                zero_infinity=True,
            )
            / counts.sum()
        )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(probe.parameters(), 1.0)
        optimizer.step()
        if (step + 1) % 100 == 0:
            say(f"  step {step + 1}/{steps}: {float(loss.detach()):.3f} nats a letter")


@torch.no_grad()
def letter_errors(probe: Probe, items: list[Item]) -> float:
    """CER of the greedy path."""
    probe.eval()
    pairs = [(text, greedy(probe(heard[None])[0])) for heard, text in items]
    probe.train()
    return cer(pairs).rate


def probe_all(
    codec: Path, data: Path, out: Path, *, sentences: int, steps: int, tests: int = 150
) -> dict[str, dict[str, float]]:
    """CER of each test with each of INPUTS; prints as it goes."""
    mimi = load(codec)
    cache = out / "speech"
    lists = corpus.training_sentences(data, 0)
    said = corpus.subsample([s for some in lists.values() for s in some], sentences, 99)
    held = corpus.held_out(data)
    texts = corpus.subsample([*held["dialogues"], *held["everyday"]], 2 * tests, 1)
    callers = caller_jobs(texts[:tests], "probe test", HELD_OUT_VARIANTS)
    share = len(said) * 3 // 4
    learnt = [
        *caller_jobs(said[:share], "probe", training_variants(variants())),
        *reply_jobs(said[share:], "probe"),
    ]
    sounds = {
        "train": hear(mimi, learnt, cache, noisy=0.5),
        "callers": hear(mimi, callers, cache, noisy=0.0),
        "callers_noisy": hear(mimi, callers, cache, noisy=1.0),
        "agent": hear(mimi, reply_jobs(texts[tests:], "probe test"), cache, noisy=0.0),
    }
    scores: dict[str, dict[str, float]] = {}
    for name in INPUTS:
        torch.manual_seed(0)
        bins = 0 if name == "mel" else mimi.cardinality
        probe = Probe(bins, len(sounds["train"][name][0]))
        pairs = {
            test: list(zip(heard[name], heard["text"], strict=True))
            for test, heard in sounds.items()
        }
        train(probe, pairs.pop("train"), steps)
        scores[name] = {test: round(letter_errors(probe, of), 4) for test, of in pairs.items()}
        shown = "  ".join(f"{test} {rate:.2%}" for test, rate in scores[name].items())
        print(f"{name:10} CER: {shown}", flush=True)
    return scores


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("codec", type=Path)
    parser.add_argument("--data", help="directory with text/ (default MAATA_DATA, then data/)")
    parser.add_argument("--sentences", type=int, default=3_000, help="to learn from")
    parser.add_argument("--steps", type=int, default=1_500)
    parser.add_argument("--out", type=Path, help="keeps the recordings for the next time")
    given = parser.parse_args()
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as scratch:
        scores = probe_all(
            given.codec,
            corpus.data_root(given.data),
            given.out or Path(scratch),
            sentences=given.sentences,
            steps=given.steps,
        )
    print(json.dumps(scores))


if __name__ == "__main__":
    main()
