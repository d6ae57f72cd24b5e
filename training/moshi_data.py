"""The sound of a Moshi run, by epoch: spoken, encoded, kept on disk, made ahead.

The first epochs hear sets of questions, the others sets of whole dialogues. A set is heard for
several epochs in a row; while it is heard the first time, the next one is encoded in a process of
its own. Knows nothing of networks.
"""

import multiprocessing
from dataclasses import dataclass
from pathlib import Path

from models.moshi_checkpoint import fingerprint
from models.moshi_text import MoshiText
from training.duplex_dataset import StereoDataset
from training.duplex_dialogue import FRAME, RATE, DialogueSource, Mix
from training.moshi_batches import EpochBatches
from training.moshi_codes import CodedDialogues, Encoder
from training.moshi_preset import Listening, Preset
from training.moshi_start import Aligned
from training.utterances import progress_line

# Nobody greets first or calls without a word: the caller's first question is what is heard.
QUESTIONS = Mix(greeting=0.0, nobody=0.0)
LONGEST_QUESTION = 12 * RATE  # samples, its answer included


@dataclass(frozen=True)
class Set:
    """What is heard for a few epochs: an encoder's numbers."""

    encoder: Encoder
    numbers: range

    def read(self) -> CodedDialogues:
        """Encodes what was not yet, and maps it."""
        what = "questions" if self.encoder.question else "dialogues"
        show = progress_line(f"encoding {what} from {self.numbers.start}")
        return CodedDialogues(self.encoder.encode(self.numbers, show))


class Sets:
    """Sets of encoded questions and dialogues in a run's directory."""

    def __init__(
        self, preset: Preset, codec: Path, out: Path, manifest: Path | None, device: str
    ) -> None:
        """`manifest` is a stereo dataset in moshi-finetune's format, heard from the first epoch on;
        without it espeak speaks.

        Raises DatasetError for a manifest that cannot be read.
        """
        self._preset = preset
        # Whose dialogues are given may speak another language than our questions.
        self._listening = preset.listening if manifest is None else Listening()
        longest = preset.seconds * RATE // FRAME * FRAME
        if manifest is None:
            source = DialogueSource(preset.seed, longest)
            name, self._total = repr(source), preset.set_size * preset.sets
        else:
            source = StereoDataset(manifest, longest)
            name, self._total = f"{fingerprint(manifest)} {longest}", len(source)
        asked = DialogueSource(preset.seed, LONGEST_QUESTION, mix=QUESTIONS, turns=1)
        place, processes = out / "codes", preset.encode_processes
        self._dialogues = Encoder(source, name, codec, place, device, processes)
        self._questions = Encoder(
            asked, repr(asked), codec, place, device, processes, question=True
        )
        self._ahead: multiprocessing.Process | None = None
        self._coming: Set | None = None  # what it makes

    def listening(self, epoch: int) -> bool:
        """Whether the epoch only hears questions."""
        return epoch < self._listening.sets * self._listening.repeats

    def _set(self, epoch: int) -> tuple[Set, int]:
        """What an epoch hears, and the first epoch that hears something else."""
        preset, listening = self._preset, self._listening
        if self.listening(epoch):
            number = epoch // listening.repeats
            numbers = range(number * listening.size, (number + 1) * listening.size)
            return Set(self._questions, numbers), (number + 1) * listening.repeats
        before = listening.sets * listening.repeats
        number, size = (epoch - before) // preset.repeats, preset.set_size
        first = number * size % (-(-self._total // size) * size)
        numbers = range(first, min(first + size, self._total))
        return Set(self._dialogues, numbers), before + (number + 1) * preset.repeats

    def aligned(self) -> Aligned:
        """The agent's words of the first dialogues, for the text budget."""
        first, _ = self._set(self._listening.sets * self._listening.repeats)
        for dialogue in first.read():
            yield dialogue.agent_words, dialogue.codes.shape[1] * FRAME

    def epoch(self, epoch: int, text: MoshiText) -> EpochBatches:
        """The batches of an epoch; the next set is begun."""
        now, until = self._set(epoch)
        if self._ahead is not None and self._coming == now:
            self._ahead.join()
            self._ahead = None
        heard = now.read()
        coming, _ = self._set(until)
        if self._preset.ahead and (self._ahead is None or self._coming != coming):
            self.stop()
            self._ahead = coming.encoder.ahead(coming.numbers)
            self._coming = coming
        return EpochBatches(
            heard, heard.frames, text, self._preset, epoch, listening=self.listening(epoch)
        )

    def stop(self) -> None:
        """Ends what is made ahead; whole shards stay."""
        if self._ahead is not None:
            self._ahead.terminate()
            self._ahead.join()
            self._ahead = None
