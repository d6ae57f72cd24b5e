"""What a run of the recogniser's recipe listens to: epochs of spoken sentences, tests, text.

Every epoch takes one of a few sets of renditions, spoken when it is first needed and kept on disk.
Knows nothing of networks.
"""

import dataclasses
import itertools
import multiprocessing
import os
from functools import cached_property
from pathlib import Path

import numpy as np
from torch.utils.data import DataLoader, Dataset
from transformers import PreTrainedTokenizerFast

from models.espeak import variants
from models.letter_lm import LetterLM
from training import corpus
from training.asr_batches import EpochBatches, Spoken, Vocabulary
from training.asr_preset import Preset
from training.asr_tokenizer import (
    END,
    LETTER_COUNT,
    NO_SPEECH,
    NO_TIMESTAMPS,
    START,
    letter_ids,
    train_tokenizer,
)
from training.noise import augment, cut
from training.utterances import (
    HELD_OUT_VARIANTS,
    Renditions,
    progress_line,
    speak_all,
    training_variants,
)

LM_ORDER = 7  # letters: two or three syllables; longer ones were met too rarely to help


class _Steps(Dataset):
    """Batches `first`.. of an epoch, for the loader's worker processes."""

    def __init__(self, batches: EpochBatches, first: int) -> None:
        self._batches, self._first = batches, first

    def __len__(self) -> int:
        return len(self._batches) - self._first

    def __getitem__(self, index: int):
        return self._batches[self._first + index]


class Speech:
    """Sentences of a data directory, spoken into a run's directory."""

    def __init__(self, preset: Preset, data: Path, out: Path, *, say=print) -> None:
        self._preset, self._data, self._out, self._say = preset, data, out, say
        self.tokenizer = self._tokenizer()
        self.vocabulary = _vocabulary(self.tokenizer)

    def _tokenizer(self) -> PreTrainedTokenizerFast:
        path = self._out / "tokenizer"
        if not path.is_dir():
            lists = corpus.training_sentences(self._data, 0, self._preset.dialogue_share)
            tokenizer = train_tokenizer(itertools.chain(*lists.values()), self._preset.pieces)
            tokenizer.save_pretrained(path)
        return PreTrainedTokenizerFast.from_pretrained(path)

    @cached_property
    def letter_lm(self) -> LetterLM:
        """Of everything that may be learnt from, spoken or not."""
        texts = corpus.language_sentences(self._data, self._preset.language_seeds)
        return LetterLM.count(map(letter_ids, texts), LETTER_COUNT, LM_ORDER)

    def tests(self) -> dict[str, list[tuple[np.ndarray, str]]]:
        """Unseen sentences in unseen voices, clean and (`noisy`) through augmentation."""
        tests: dict[str, list[tuple[np.ndarray, str]]] = {}
        lists = corpus.held_out(self._data)
        rng = np.random.default_rng(0)
        for name in ("dialogues", "everyday"):
            sentences = corpus.subsample(lists[name], self._preset.eval_sentences, 0)
            cache = self._out / "speech"
            path = speak_all(sentences, "test", HELD_OUT_VARIANTS, cache, processes=1)
            spoken = Renditions([path])
            pairs = [(spoken.pcm(i), text) for i, text in enumerate(spoken.texts)]
            tests[name] = [(cut(pcm, rng), text) for pcm, text in pairs]
            tests[f"{name}_noisy"] = [(augment(pcm, rng), text) for pcm, text in pairs[::2]]
        return tests

    def epoch(self, epoch: int, first: int) -> tuple[DataLoader, int]:
        """The batches of an epoch from number `first` on, and how many the whole epoch has."""
        number = epoch % self._preset.rendition_sets
        lists = corpus.training_sentences(self._data, number, self._preset.dialogue_share)
        if epoch == 0:
            self._say("sentences: " + ", ".join(f"{k} {len(v)}" for k, v in lists.items()))
        renditions = Renditions(_speak_set(lists, self._preset, number, self._out, progress=True))
        batches = EpochBatches(
            renditions,
            spell(self.tokenizer, list(dict.fromkeys(renditions.texts))),
            self.vocabulary,
            self._preset.frames_per_batch,
            (self._preset.seed, epoch),
        )
        workers = self._preset.loader_processes
        loader = DataLoader(
            _Steps(batches, min(first, len(batches))),
            batch_size=None,
            num_workers=workers,
            prefetch_factor=8 if workers else None,
        )
        return loader, len(batches)

    def speak_ahead(self, epoch: int) -> multiprocessing.Process | None:
        """Speaks an epoch's set in a process of its own, if nobody did yet."""
        if epoch >= self._preset.rendition_sets or self._preset.loader_processes == 0:
            return None
        preset = dataclasses.replace(self._preset, render_processes=1)
        process = multiprocessing.get_context("spawn").Process(
            target=_speak_quietly, args=(self._data, preset, epoch, self._out), daemon=True
        )
        process.start()
        return process  # pyright: ignore[reportReturnType]


def spell(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> dict[str, Spoken]:
    """What the network writes for each text."""
    coded = tokenizer(texts, return_offsets_mapping=True)
    rows = zip(texts, coded["input_ids"], coded["offset_mapping"], strict=True)
    return {text: Spoken(text, ids, [end for _, end in spans]) for text, ids, spans in rows}


def _vocabulary(tokenizer: PreTrainedTokenizerFast) -> Vocabulary:
    def token(text: str) -> int:
        found = tokenizer.convert_tokens_to_ids(text)
        assert isinstance(found, int)
        return found

    return Vocabulary(
        end=token(END),
        start=token(START),
        no_timestamps=token(NO_TIMESTAMPS),
        no_speech=token(NO_SPEECH),
    )


def _speak_set(
    lists: dict[str, list[str]], preset: Preset, number: int, out: Path, *, progress: bool
) -> list[Path]:
    """Speaks rendition set `number`; a file per source, so that one can change without the rest."""
    return [
        speak_all(
            sentences,
            f"{preset.seed}/{number}",
            training_variants(variants()),
            out / "speech",
            processes=preset.render_processes if len(sentences) > 500 else 1,
            progress=progress_line(f"speaking {name}, set {number}") if progress else None,
        )
        for name, sentences in lists.items()
    ]


def _speak_quietly(data: Path, preset: Preset, number: int, out: Path) -> None:
    os.nice(5)  # training comes first
    lists = corpus.training_sentences(data, number, preset.dialogue_share)
    _speak_set(lists, preset, number, out, progress=False)
