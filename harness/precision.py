"""How numbers are held while a model works: fp32, tf32 or bf16, the same for every model."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch

Precision = Literal["fp32", "tf32", "bf16"]


def set_numerics(precision: Precision) -> None:
    """Make this process deterministic, with float32 products rounded as ``precision`` says."""
    torch.backends.cuda.matmul.allow_tf32 = precision != "fp32"
    torch.backends.cudnn.allow_tf32 = precision != "fp32"
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    # Some CUDA kernels have no deterministic form: they run, and say so in the trial's log.
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[None]:
    """Return the context that training and sampling run in."""
    if precision == "bf16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()
