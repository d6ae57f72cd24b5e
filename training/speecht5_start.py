"""A SpeechT5 from the hub, with Telugu behind its English and our voices in its speaker layer.

Knows nothing of training beyond where it begins.
"""

from pathlib import Path

import torch
from torch import nn

from models.speecht5_layout import load_acoustic
from models.speecht5_text import FILE, Characters
from models.speecht5_voices import Voices, VoicesMissing
from models.voices import EMOTIONS, VOICES
from training.speecht5_network import TrainedSpeechT5
from training.speecht5_vocabulary import extend, neighbours, start_rows


def extended(source: Path, vocabulary: Path, *, seed: int) -> tuple[Characters, TrainedSpeechT5]:
    """Loads `source` and gives it the Telugu characters it lacks.

    A directory of ours, which has them and our voices, is loaded as it is.

    Args:
        source: the layout of `microsoft/speecht5_tts`.
        vocabulary: where to write the extended `spm_char.model`.
        seed: of the noise on the new embeddings.

    Raises:
        SpeechT5Invalid, VocabularyMissing: the directory holds no SpeechT5.
    """
    acoustic = load_acoustic(source)
    old = Characters.load(source)
    table = acoustic.get_input_embeddings()
    assert isinstance(table, nn.Embedding)
    rows = len(table.weight)
    characters = extend(source / FILE, vocabulary, max(rows, len(old)))
    if len(characters) > rows:
        with torch.no_grad():
            grown = start_rows(table.weight, len(characters), neighbours(characters), seed)
        new = nn.Embedding(*grown.shape, padding_idx=table.padding_idx, _weight=grown)
        acoustic.set_input_embeddings(new)
        acoustic.config.vocab_size = len(characters)
    network = TrainedSpeechT5(acoustic)
    names = (tuple(voice.id for voice in VOICES), EMOTIONS)
    try:
        voices = Voices.load(source)
    except VoicesMissing:
        return characters, network
    if (voices.voice_names, voices.emotion_names) == names:
        with torch.no_grad():
            network.speakers.copy_(voices.speakers)
            network.emotions.copy_(voices.emotions)
    return characters, network
