"""What CTranslate2 needs to run on a GPU, looked for without loading a model.

Knows nothing of torch, which brings libraries of its own.
"""

import ctypes
from importlib import metadata
from pathlib import Path

BLAS = "libcublas.so.12"  # what CTranslate2 4.8 opens by name when it first multiplies


def problem() -> str:
    """Why CTranslate2 cannot run on a GPU here, with the remedy; empty when it can."""
    import ctranslate2

    if ctranslate2.get_cuda_device_count() == 0:
        return (
            "CTranslate2 finds no usable GPU: check the driver with nvidia-smi, or set device = "
            "'cpu' in the profile"
        )
    try:
        ctypes.CDLL(BLAS)
    except OSError:
        found = _packaged()
        if found is None:
            return (
                f"CTranslate2 needs {BLAS} of CUDA 12: install nvidia-cublas-cu12 into the same "
                "environment"
            )
        return f"CTranslate2 does not find {BLAS}: add {found.parent} to LD_LIBRARY_PATH"
    return ""


def _packaged() -> Path | None:
    """Where a wheel put the library, if one did."""
    try:
        files = metadata.files("nvidia-cublas-cu12") or []
    except metadata.PackageNotFoundError:
        return None
    return next((Path(str(f.locate())) for f in files if f.name == BLAS), None)
