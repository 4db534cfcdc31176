"""One step of an optimizer, and learning rates as functions of the progress of training.

A rule gives the share of the peak learning rate at ``progress``, the fraction of the budget used:
under a time budget nobody knows how many steps there will be.
"""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.optim import Optimizer

WARM_UP = 0.05


def constant(progress: float) -> float:
    """Return 1: the peak, all the time."""
    return 1.0


def linear_decay(progress: float) -> float:
    """Return 1 - progress: from the peak down to 0."""
    return 1 - progress


def warm_up_cosine(progress: float, start: float = 0.0) -> float:
    """Return a line from ``start`` up to 1, until ``WARM_UP``, times a half cosine down to 0.

    min(1, start + (1 - start) progress / w) (1 + cos(pi progress)) / 2, with w = ``WARM_UP``.
    """
    rise = min(1.0, start + (1 - start) * progress / WARM_UP)
    return rise * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


def set_learning_rate(optimizer: Optimizer, rate: float) -> None:
    """Set the learning rate of all parameter groups."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def descend(optimizer: Optimizer, loss: Tensor, clip: float = math.inf) -> Tensor:
    """Take one step down the gradient of ``loss``; return the loss, detached.

    Only the parameters of ``optimizer`` get gradients, so that a player of a game leaves those of
    the other alone.

    Args:
        optimizer: of the parameters to be changed.
        loss: a scalar.
        clip: largest norm of the gradient, over all of its parameters.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    optimizer.zero_grad()
    loss.backward(inputs=parameters)
    if clip < math.inf:
        nn.utils.clip_grad_norm_(parameters, clip)
    optimizer.step()
    return loss.detach()
