"""One-line descriptions of exceptions."""

from __future__ import annotations

import errno
import traceback
from pathlib import Path

import torch

_ALLOCATION_FAILED = (
    "DefaultCPUAllocator",
    "CUDA out of memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "std::bad_alloc",
)
"""Messages of a plain ``RuntimeError`` by which libraries report that memory ran out."""


def explain(error: BaseException) -> str:
    """Return one line: what was raised, and the line of code that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    message = (str(error).splitlines() or [""])[0] if is_out_of_memory(error) else str(error)
    return f"{type(error).__name__}: {' '.join(message.split())}{where}"


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether a device or the host ran out of memory."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and any(
        sign in str(error) for sign in _ALLOCATION_FAILED
    )
