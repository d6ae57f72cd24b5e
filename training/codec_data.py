"""The sets of recordings a codec's run listens to, and what it is tested on.

Each set is spoken, and its teacher's states computed, when it is first needed; both are kept on
disk. Knows nothing of networks beyond the teacher.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch.utils.data import DataLoader

from models.espeak import variants
from training import corpus
from training.codec_batches import Batch, Batches, Speech
from training.codec_preset import Preset
from training.codec_speech import (
    Job,
    Recordings,
    agent_sentences,
    caller_jobs,
    record,
    reply_jobs,
)
from training.codec_teacher import States, Teacher, remember
from training.utterances import HELD_OUT_VARIANTS, progress_line, training_variants

SHARE_OF_ANSWERS = 0.5  # of what the agent says: our dialogues' answers; the rest is any sentence
TestClip = tuple[np.ndarray, str]  # float32 [T] at 24 kHz, what is said in te-std form


class CodecData:
    """Recordings of a data directory's sentences in a run's directory."""

    def __init__(self, preset: Preset, data: Path, asr: Path, out: Path, *, say=print) -> None:
        self._preset, self._data, self._say = preset, data, say
        self._cache = out / "speech"
        self.teacher = Teacher(asr)
        self._sets: dict[int, Speech] = {}

    def speech(self, number: int) -> Speech:
        """Set `number`."""
        if number not in self._sets:
            self._sets.clear()
            callers, replies = self._jobs(number)
            self._sets[number] = Speech(
                self._recorded(callers, f"callers, set {number}"),
                self._recorded(replies, f"replies, set {number}"),
            )
        return self._sets[number]

    def _jobs(self, number: int) -> tuple[Sequence[Job], Sequence[Job]]:
        preset = self._preset
        lists = corpus.training_sentences(self._data, number)
        said = corpus.subsample([s for some in lists.values() for s in some], None, number)
        said = corpus.subsample(said, preset.sentences + preset.replies, number)
        answers = agent_sentences(round(SHARE_OF_ANSWERS * preset.replies), number)
        others = said[preset.sentences :][: preset.replies - len(answers)]
        name = f"codec {preset.seed}/{number}"
        callers = caller_jobs(said[: preset.sentences], name, training_variants(variants()))
        return callers, reply_jobs([*answers, *others], name)

    def _recorded(self, jobs: Sequence[Job], title: str) -> tuple[Recordings, States]:
        path = record(
            jobs,
            self._cache,
            processes=self._preset.render_processes,
            progress=progress_line(f"speaking {title}"),
        )
        recordings = Recordings(path)
        states = remember(recordings, self.teacher, progress=progress_line(f"hearing {title}"))
        return recordings, States(states)

    def batches(self, first: int, last: int) -> DataLoader[Batch]:
        """Batches `first`..`last` - 1, all of one set: that of batch `first`."""
        number = first // self._preset.steps_per_set % self._preset.sets
        workers = self._preset.loader_processes
        return DataLoader(
            Batches(self.speech(number), self._preset, first, last - first),
            batch_size=None,
            num_workers=workers,
            prefetch_factor=4 if workers else None,
        )

    def tests(self) -> dict[str, list[TestClip]]:
        """Sentences never trained on: `callers` in unseen voices, `agent` in the agent's own."""
        held = corpus.held_out(self._data)
        count = self._preset.eval_sentences // 2
        texts = corpus.subsample([*held["dialogues"], *held["everyday"]], 2 * count, 0)
        jobs: dict[str, Sequence[Job]] = {
            "callers": caller_jobs(texts[:count], "codec test", HELD_OUT_VARIANTS),
            "agent": reply_jobs(texts[count:], "codec test"),
        }
        tests: dict[str, list[TestClip]] = {}
        for name, said in jobs.items():
            spoken = Recordings(record(said, self._cache))
            tests[name] = [(spoken.pcm(i), said[job].text) for i, job in enumerate(spoken.jobs)]
        return tests
