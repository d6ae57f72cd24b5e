"""The dialogues of a Moshi run, by epoch: spoken, encoded, kept on disk, made ahead.

Epoch e hears set e // repeats; while it is heard the first time, the next one is encoded in a
process of its own. Knows nothing of networks.
"""

import multiprocessing
from pathlib import Path

from models.moshi_checkpoint import fingerprint
from models.moshi_text import MoshiText
from training.duplex_dataset import StereoDataset
from training.duplex_dialogue import FRAME, RATE, DialogueSource
from training.moshi_batches import EpochBatches
from training.moshi_codes import CodedDialogues, Encoder
from training.moshi_preset import Preset
from training.moshi_start import Aligned
from training.utterances import progress_line


class Sets:
    """Sets of encoded dialogues in a run's directory."""

    def __init__(
        self, preset: Preset, codec: Path, out: Path, manifest: Path | None, device: str
    ) -> None:
        """`manifest` is a stereo dataset in moshi-finetune's format; without it espeak speaks.

        Raises DatasetError for a manifest that cannot be read.
        """
        self._preset = preset
        longest = preset.seconds * RATE // FRAME * FRAME
        if manifest is None:
            source = DialogueSource(preset.seed, longest)
            name, self._total = repr(source), preset.set_size * preset.sets
        else:
            source = StereoDataset(manifest, longest)
            name, self._total = f"{fingerprint(manifest)} {longest}", len(source)
        self._encoder = Encoder(
            source, name, codec, out / "codes", device, processes=preset.encode_processes
        )
        self._ahead: multiprocessing.Process | None = None
        self._coming = 0  # the set it makes

    def _numbers(self, number: int) -> range:
        size = self._preset.set_size
        first = number * size % (-(-self._total // size) * size)
        return range(first, min(first + size, self._total))

    def dialogues(self, number: int) -> CodedDialogues:
        """Set `number`, encoded if it was not yet."""
        if self._ahead is not None and self._coming == number:
            self._ahead.join()
            self._ahead = None
        show = progress_line(f"encoding dialogues, set {number}")
        return CodedDialogues(self._encoder.encode(self._numbers(number), show))

    def aligned(self) -> Aligned:
        """The agent's words of the first set, for the text budget."""
        for dialogue in self.dialogues(0):
            yield dialogue.agent_words, dialogue.codes.shape[1] * FRAME

    def epoch(self, epoch: int, text: MoshiText) -> EpochBatches:
        """The batches of an epoch; the next set is begun."""
        number = epoch // self._preset.repeats
        dialogues = self.dialogues(number)
        if self._preset.ahead and (self._ahead is None or self._coming != number + 1):
            self.stop()
            self._ahead = self._encoder.ahead(self._numbers(number + 1))
            self._coming = number + 1
        return EpochBatches(dialogues, dialogues.frames, text, self._preset, epoch)

    def stop(self) -> None:
        """Ends what is made ahead; whole shards stay."""
        if self._ahead is not None:
            self._ahead.terminate()
            self._ahead.join()
            self._ahead = None
