"""One step of an optimizer, and its learning rate as a function of progress, not of steps.

Under a time budget the number of steps is unknown; ``progress`` is the fraction of the
budget that is used.
"""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.optim import Optimizer

WARM_UP = 0.05


def warm_up_cosine(progress: float, start: float = 0.0) -> float:
    """Return the share of the peak learning rate: a line from ``start`` to 1, times half a cosine.

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
