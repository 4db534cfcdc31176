"""Learning rates as functions of progress, the fraction of the budget used."""

from __future__ import annotations

import math

from torch.optim import Optimizer


def cosine_decay(progress: float) -> float:
    """Return (1 + cos(pi progress)) / 2: from 1 at the start to 0 at the end of the budget."""
    return 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


def set_learning_rate(optimizer: Optimizer, rate: float) -> None:
    """Set the learning rate of all parameter groups."""
    for group in optimizer.param_groups:
        group["lr"] = rate
