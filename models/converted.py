"""A transformers checkpoint converted for CTranslate2, once, in a cache beside no one's sources.

Knows nothing about Whisper or Llama beyond what CTranslate2's converter reads from config.json.
The cache key covers the files' contents, so retrained weights are converted anew and stale ones
are never served. Weights stored in 8 bits (`int8_files`) are written out for the converter first.
"""

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path

COPIED = (
    "tokenizer.json",
    "tokenizer_config.json",
    "preprocessor_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "generation_config.json",
    "README.md",
    "ctc.safetensors",  # of recognisers with a letter head
    "letters.npz",
)
FORMAT = "1"  # raise it when the conversion itself changes


def cache_root() -> Path:
    """Where converted weights are kept; `MAATA_CACHE` overrides `~/.cache/maata`."""
    return Path(os.environ.get("MAATA_CACHE", Path.home() / ".cache" / "maata"))


def ct2_dir(path: Path, quantization: str = "int8") -> Path:
    """The CTranslate2 directory for a checkpoint, converting it when it was not yet.

    Args:
        path: a transformers directory (config.json + safetensors, in 8 bits or more), or one
            already in CTranslate2's layout (model.bin), which is returned as it is.
        quantization: CTranslate2's name of the stored type (`int8`, `float32`, ...).

    Raises:
        ValueError: the directory holds neither layout.
    """
    if (path / "model.bin").exists():
        return path
    if not (path / "config.json").exists():
        raise ValueError(f"{path} holds neither model.bin (CTranslate2) nor config.json")
    target = cache_root() / "ct2" / f"{path.name}-{quantization}-{_fingerprint(path)}"
    if not (target / "model.bin").exists():
        _convert(path, target, quantization)
    return target


def _fingerprint(path: Path) -> str:
    """Twelve hex digits over names and contents of the checkpoint's files."""
    digest = hashlib.sha256(FORMAT.encode())
    for file in sorted(p for p in path.iterdir() if p.is_file()):
        digest.update(file.name.encode())
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()[:12]


def _convert(path: Path, target: Path, quantization: str) -> None:
    """Convert into a scratch directory and rename, so that a killed run leaves nothing half."""
    from ctranslate2.converters import TransformersConverter

    from models.int8_files import is_packed, unpack_directory  # torch comes with it

    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=target.parent, prefix=".converting-"))
    try:
        if is_packed(path):
            # Its steps come out of CTranslate2's own int8 unchanged: both scale a row by its peak.
            path = unpack_directory(path, scratch / "unpacked")
        copies = [name for name in COPIED if (path / name).exists()]
        converter = TransformersConverter(str(path), copy_files=copies)
        converter.convert(str(scratch / "model"), quantization=quantization)
        _keep_original_config(path, scratch / "model")
        _write_fast_tokenizer(path, scratch / "model" / "tokenizer.json")
        try:
            (scratch / "model").rename(target)
        except OSError:
            if not (target / "model.bin").exists():  # another process was faster otherwise
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _write_fast_tokenizer(path: Path, target: Path) -> None:
    """Older checkpoints hold vocab.json and merges.txt alone; serving reads tokenizer.json."""
    if not target.exists() and (path / "vocab.json").exists():
        from transformers import AutoTokenizer

        AutoTokenizer.from_pretrained(str(path)).backend_tokenizer.save(str(target))


def _keep_original_config(path: Path, model: Path) -> None:
    """CTranslate2 writes a config.json of its own; keep ours beside it under another name."""
    config = json.loads((path / "config.json").read_text())
    (model / "transformers_config.json").write_text(json.dumps(config, ensure_ascii=False))
