"""A matrix as a grey PNG, for looking at attention. Knows nothing of what the numbers are."""

import struct
import zlib
from pathlib import Path

import numpy as np

PIXELS = 6  # a side of each cell
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def draw(matrix: np.ndarray, target: Path) -> None:
    """Writes [rows, columns] of 0..1, white where it is 0; row 0 lies at the bottom."""
    cells = 255 - np.round(np.clip(matrix[::-1], 0.0, 1.0) * 255.0).astype(np.uint8)
    pixels = cells.repeat(PIXELS, 0).repeat(PIXELS, 1)
    height, width = pixels.shape
    # Every line begins with the number of its filter: none.
    lines = np.concatenate([np.zeros((height, 1), np.uint8), pixels], 1).tobytes()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)  # 8 bits, grey
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
    target.write_bytes(_SIGNATURE + b"".join(_chunk(kind, content) for kind, content in chunks))


def _chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )
