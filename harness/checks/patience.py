"""A time limit on checks, whatever the model does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch.nn.modules.module import register_module_forward_pre_hook
from torch.optim.optimizer import register_optimizer_step_post_hook


class TimeLimitReached(BaseException):
    """The time limit is reached; not an ``Exception``, as it is no error of the model."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise ``TimeLimitReached`` from the next call of a module or step of an optimizer."""
    end = time.monotonic() + seconds

    def look(*called: Any) -> None:
        if time.monotonic() > end:
            raise TimeLimitReached

    handles = register_module_forward_pre_hook(look), register_optimizer_step_post_hook(look)
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
