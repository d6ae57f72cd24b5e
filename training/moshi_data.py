"""The sound of a Moshi run, by epoch: spoken, encoded, kept on disk, made ahead.

The first epochs hear sets of questions, the others sets of whole dialogues. A set is heard for
several epochs in a row; meanwhile all that come after it are encoded by other processes. Knows
nothing of networks.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from models.moshi_checkpoint import fingerprint
from models.moshi_text import MoshiText
from training.duplex_dataset import StereoDataset
from training.duplex_dialogue import FRAME, RATE, DialogueSource, Mix
from training.moshi_ahead import Ahead
from training.moshi_batches import EpochBatches, Shuffled
from training.moshi_codes import CodedDialogues, Encoder, Shard
from training.moshi_network import Batch
from training.moshi_preset import Listening, Preset
from training.moshi_start import Aligned
from training.moshi_written import WrittenBatches
from training.utterances import progress_line

# Nobody greets first or calls without a word: the caller's first question is what is heard.
QUESTIONS = Mix(greeting=0.0, nobody=0.0)
LONGEST_QUESTION = 12 * RATE  # samples, its answer included
BUDGETED = 1_000  # dialogues whose text is held against the text budget


@dataclass(frozen=True)
class Set:
    """What is heard for a few epochs: an encoder's numbers."""

    encoder: Encoder
    numbers: range

    @property
    def shards(self) -> list[Shard]:
        return self.encoder.shards(self.numbers)

    def read(self, ahead: Ahead) -> CodedDialogues:
        """Waits for whoever encodes it, encodes what is missing then, and maps it."""
        what = "questions" if self.encoder.question else "dialogues"
        show = progress_line(f"encoding {what} from {self.numbers.start}")
        ahead.wait(self.shards, show)
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
        # Whose dialogues are given may speak another language than our questions and answers.
        self._listening = preset.listening if manifest is None else Listening()
        self._written = preset.written if manifest is None else 0
        longest = preset.seconds * RATE // FRAME * FRAME
        if manifest is None:
            source = DialogueSource(preset.seed, longest)
            name, self._total = repr(source), preset.set_size * preset.sets
        else:
            source = StereoDataset(manifest, longest)
            name, self._total = f"{fingerprint(manifest)} {longest}", len(source)
        asked = DialogueSource(preset.seed, LONGEST_QUESTION, mix=QUESTIONS, turns=1)
        place = out / "codes"
        self._dialogues = Encoder(source, name, codec, place, device)
        self._questions = Encoder(asked, repr(asked), codec, place, device, question=True)
        self._ahead = Ahead()
        self._heard: tuple[list[Set], list[CodedDialogues]] | None = None  # in the last epoch

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

    def _heard_in(self, epoch: int) -> tuple[list[Set], int]:
        """Everything that an epoch hears, and the first epoch that hears something else."""
        now, until = self._set(epoch)
        listening, beside = self._listening, self._listening.beside
        if self.listening(epoch) or not beside:
            return [now], until
        first = listening.sets * listening.size
        first += (epoch - listening.sets * listening.repeats) // self._preset.repeats * beside
        return [now, Set(self._questions, range(first, first + beside))], until

    def _coming(self, epoch: int) -> Iterator[Set]:
        """What is heard from an epoch on, until dialogues come back."""
        last = self._listening.sets * self._listening.repeats
        last += self._preset.sets * self._preset.repeats
        while epoch < last:
            found, epoch = self._heard_in(epoch)
            yield from found

    def aligned(self) -> Aligned:
        """The agent's words of the first dialogues, for the text budget."""
        first, _ = self._set(self._listening.sets * self._listening.repeats)
        few = Set(first.encoder, first.numbers[:BUDGETED])
        processes = self._preset.encode_processes if self._preset.ahead else 0
        with closing(Ahead(few.shards, processes)) as ahead:
            read = few.read(ahead)
        for dialogue in read:
            yield dialogue.agent_words, dialogue.codes.shape[1] * FRAME

    def epoch(self, epoch: int, text: MoshiText) -> Sequence[Batch]:
        """The batches of an epoch; whatever comes after it is begun."""
        preset = self._preset
        if preset.ahead and not self._ahead.working:
            shards = [shard for coming in self._coming(epoch) for shard in coming.shards]
            self._ahead = Ahead(shards, preset.encode_processes)
        now, _ = self._heard_in(epoch)
        if self._heard is None or self._heard[0] != now:
            self._heard = now, [one.read(self._ahead) for one in now]
        parts: list[Sequence[Batch]] = [
            EpochBatches(heard, heard.frames, text, preset, epoch, listening=one.encoder.question)
            for one, heard in zip(*self._heard, strict=True)
        ]
        if self._written and not self.listening(epoch):
            parts.append(self._answers(epoch, text, streams=len(self._heard[1][0][0].codes)))
        return parts[0] if len(parts) == 1 else Shuffled(parts, preset.seed, epoch)

    def _answers(self, epoch: int, text: MoshiText, streams: int) -> WrittenBatches:
        preset = self._preset
        place = (preset.seed, epoch)
        return WrittenBatches(text, streams, preset.frames_per_batch, self._written, place)

    def stop(self) -> None:
        """Ends what is made ahead; whole shards stay."""
        self._ahead.close()
