"""Everything that touches weights or numbers: recognisers, language models, voices, Telugu text.

Training and serving meet only here. May import torch, transformers, ctranslate2, moshi and other
numerical libraries; nothing of ours above it, and never pipecat.
"""
