"""Learning rates as functions of progress, the fraction of the budget used."""

from __future__ import annotations

import math

from torch.optim import Optimizer

WARM_UP = 0.05


def warm_up_cosine(progress: float) -> float:
    """Return the share of the peak rate: up from 0 linearly until ``WARM_UP``, then down to 0.

    min(progress / w, 1) (1 + cos(pi progress)) / 2, with w = ``WARM_UP``. Progress, and not steps,
    since under a time budget nobody knows how many there will be.
    """
    decay = 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
    return min(progress / WARM_UP, 1.0) * decay


def set_learning_rate(optimizer: Optimizer, rate: float) -> None:
    """Set the learning rate of all parameter groups."""
    for group in optimizer.param_groups:
        group["lr"] = rate
