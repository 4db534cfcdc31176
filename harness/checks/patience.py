"""A limit on how long checks may take, whatever the model does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch.nn.modules.module import register_module_forward_pre_hook
from torch.optim.optimizer import register_optimizer_step_post_hook


class OutOfTime(BaseException):
    """The time is spent. No ``Exception``, so that nobody takes it for an error of the model."""


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise ``OutOfTime`` from the next module that is called, or optimizer that has stepped."""
    end = time.monotonic() + seconds

    def look(*called: Any) -> None:
        if time.monotonic() > end:
            raise OutOfTime

    handles = register_module_forward_pre_hook(look), register_optimizer_step_post_hook(look)
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
