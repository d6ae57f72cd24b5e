"""Where a recipe trains: the device, its threads, its precision. Knows nothing of networks."""

import torch

from training.codec_memory import keep_freed_memory


def choose_device(name: str | None) -> str:
    """`name`, or without one `cuda` where there is a GPU and `cpu` where there is none."""
    return name or ("cuda" if torch.cuda.is_available() else "cpu")


def set_up(device: str, threads: int | None = None) -> None:
    """Once a process, before its first step; `threads` are a CPU's."""
    if device == "cpu":
        if threads:
            torch.set_num_threads(threads)
        keep_freed_memory()
    else:  # sound is sensitive to half precision, not to TF32
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True


def multiplies_bfloat16(device: str) -> bool:
    """Whether the processor does it natively: without, it is many times slower than float32."""
    return torch.device(device).type == "cuda" or torch.ops.mkldnn._is_mkldnn_bf16_supported()


def autocast(device: str) -> torch.autocast:
    """bfloat16 where the processor multiplies it natively."""
    kind = torch.device(device).type
    return torch.autocast(kind, torch.bfloat16, enabled=multiplies_bfloat16(device))
