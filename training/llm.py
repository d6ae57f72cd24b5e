"""maata train llm --preset starter|gpu|tiny [--resume] [--out DIR]

Trains a small Llama on the authored Telugu dialogues and writes a directory that transformers,
vLLM and CTranslate2 load. Conversations are composed while training, never twice the same; the
loss counts the assistant's tokens only. Knows nothing about serving.
"""

import signal
from pathlib import Path

from training.llm_preset import PRESETS
from training.llm_run import Run


def main(preset: str = "starter", *, resume: bool = False, out: Path | None = None) -> Path:
    """Train, export, evaluate; returns the exported directory.

    Raises:
        ValueError: no such preset, or a checkpoint of another shape in `out`.
        FileExistsError: `out` holds a run and `resume` was not asked for.
    """
    if preset not in PRESETS:
        raise ValueError(f"no preset {preset!r}; there are {', '.join(PRESETS)}")
    from training.llm_score import report

    # A kill ends like Ctrl-C: after a checkpoint.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    run = Run(PRESETS[preset], out or Path("runs") / f"llm-{preset}", resume)
    run.train()
    exported = run.export()
    report(exported, run.out / "quality.json")
    return exported
