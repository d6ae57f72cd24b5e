"""The codec's learning curve: word and letter error rates, and the spectral distance, over time.

Drawn by the recogniser's curve, whose columns are rates. Knows nothing of how they came about.
"""

import json
from pathlib import Path

from training import asr_curve


def draw_curve(metrics: Path, target: Path) -> None:
    """Draws the `wer_*`, `cer_*` and `log_mel_*` columns of `metrics` against minutes of training.

    Nats are drawn on the same axis: 1 nat where 100 % is.
    """
    rows = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    kinds = ("wer_", "cer_", "log_mel_")
    drawn = []
    for row in rows:
        values = {f"wer_{key}": row[key] for key in row if key.startswith(kinds)}
        drawn.append({"seconds": row["seconds"], **values})
    scratch = target.with_suffix(".jsonl.part")
    scratch.write_text("\n".join(map(json.dumps, drawn)), encoding="utf-8")
    asr_curve.draw_curve(scratch, target)
    scratch.unlink()
