"""Numerical precision: fp32, tf32 or bf16, the same for every model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Literal

import torch

Precision = Literal["fp32", "tf32", "bf16"]


def set_numerics(precision: Precision) -> None:
    """Make this process deterministic, with float32 products rounded as ``precision`` says."""
    for backend in product_backends():
        backend.fp32_precision = "tf32" if precision == "tf32" else "ieee"
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    # Some CUDA kernels have no deterministic form: they run, with a warning in the trial's log.
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[None]:
    """Return the context that training and sampling run in."""
    if precision == "bf16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Run in IEEE float32, whatever precision a model was trained in: no autocast, no TF32.

    TF32 convolutions, which CUDA has on by default, move features in the third digit.
    """
    backends = product_backends()
    before = [backend.fp32_precision for backend in backends]
    try:
        for backend in backends:
            backend.fp32_precision = "ieee"
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        for backend, precision in zip(backends, before, strict=True):
            backend.fp32_precision = precision


def product_backends() -> tuple[Any, ...]:
    """Return the settings of float32 products on CUDA: matrices, convolutions, recurrences."""
    backends: Any = torch.backends
    return backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn
