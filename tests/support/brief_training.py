"""Training without the harness, as far as a test needs it."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from harness.contract import Batch, GenerativeModel


def train(model: GenerativeModel, images: Tensor, end: int, start: int = 0) -> list[float]:
    """Take steps ``start`` to ``end`` after the warm-up, seeded one by one as the harness does.

    Returns:
        The loss of each step.
    """
    model.train()
    losses = []
    for step in range(start, end):
        torch.manual_seed(step)
        chosen = torch.randint(len(images), (model.config.batch_size,))
        result = model.training_step(Batch(images[chosen], None), min(0.05 + step / 100, 1.0))
        losses.append(float(result["loss"]))
    return losses


def resumed_equals_uninterrupted(build: Callable[[], GenerativeModel], images: Tensor) -> None:
    """Assert that three steps, a checkpoint and three more are bitwise six steps."""
    whole, first, second = build(), build(), build()
    train(whole, images, 6)
    train(first, images, 3)
    checkpoint = io.BytesIO()
    torch.save(_state(first), checkpoint)
    checkpoint.seek(0)
    state = torch.load(checkpoint, weights_only=True)
    second.load_state_dict(state["model"])
    for name, optimizer in second.optimizers.items():
        optimizer.load_state_dict(state[name])
    train(second, images, 6, start=3)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def _state(model: GenerativeModel) -> dict[str, Any]:
    optimizers = {name: value.state_dict() for name, value in model.optimizers.items()}
    return {"model": model.state_dict(), **optimizers}


@torch.no_grad()
def shake(module: nn.Module, size: float = 0.3) -> nn.Module:
    """Move all parameters at random, away from whatever they were initialised to."""
    for parameter in module.parameters():
        parameter.add_(size * torch.randn_like(parameter))
    return module
