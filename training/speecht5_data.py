"""The clauses a SpeechT5 learns to say, and those it is tested on.

Half are answers of our own dialogues, as the agent says them, half everyday sentences; all are cut
as the service cuts what it speaks. Knows nothing of networks.
"""

from pathlib import Path

from models.speecht5_text import Characters
from training import corpus
from training.codec_speech import agent_sentences
from training.speecht5_preset import Preset
from training.speecht5_speech import Recordings, clauses, jobs, record
from training.utterances import progress_line

_TEST_SEED = 99  # of the answers that are only tested; those that also train are left out


class SpeechT5Data:
    """Recordings of a data directory's sentences, in a run's directory."""

    def __init__(self, preset: Preset, data: Path, cache: Path, *, say=print) -> None:
        self._preset, self._data, self._cache, self._say = preset, data, cache, say
        self._texts: list[str] = []

    def texts(self) -> list[str]:
        """The training clauses."""
        if not self._texts:
            preset = self._preset
            lists = corpus.training_sentences(self._data, preset.seed)
            others = corpus.subsample([s for some in lists.values() for s in some], None, 0)
            others = corpus.subsample(others, preset.sentences, preset.seed)
            said = [*agent_sentences(preset.answers, preset.seed), *others]
            self._texts = clauses(said, preset.words)
        return self._texts

    def recordings(self) -> Recordings:
        """What is trained on; spoken on first use."""
        listed = jobs(self.texts(), f"speecht5 {self._preset.seed}")
        progress = progress_line("speaking clauses")
        processes = self._preset.render_processes
        path = record(listed, self._cache, processes=processes, progress=progress)
        return Recordings(path, listed)

    def tests(self) -> Recordings:
        """Clauses that are never trained on, in all voices and emotions."""
        held = corpus.held_out(self._data)
        known = set(self.texts())
        count = self._preset.eval_clauses
        said = [*agent_sentences(2 * count, _TEST_SEED), *held["everyday"], *held["dialogues"]]
        new = [text for text in clauses(said, self._preset.words) if text not in known]
        listed = jobs(corpus.subsample(new, count, _TEST_SEED), "speecht5 test")
        return Recordings(record(listed, self._cache), listed)

    def unknown(self, characters: Characters) -> list[str]:
        """Training clauses that the vocabulary cannot write whole."""
        return [text for text in self.texts() if not characters.knows(text)]
