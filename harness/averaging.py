"""The exponential moving average of weights that every model is measured with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

RAMP = 0.05
"""The half-life never exceeds this fraction of the images seen."""


class WeightAverage:
    """Averages the parameters of a model with a half-life in images.

    w_avg <- beta w_avg + (1 - beta) w with beta = 2^(-B / h) and h = min(H, 0.05 images seen)
    (Karras et al., 2022, arXiv:2206.00364), so that one rule serves every batch size and budget.
    Floating-point buffers (running statistics) are averaged alike; integer ones keep their value.
    """

    def __init__(self, model: nn.Module, half_life: float) -> None:
        self.half_life = half_life
        self._live = _floating_state(model)
        self._averaged = {name: value.detach().clone() for name, value in self._live.items()}

    def update(self, batch: int, images_seen: int) -> None:
        """Take in the weights after a step on ``batch`` images; ``images_seen`` includes them."""
        half_life = min(self.half_life, RAMP * images_seen)
        average = get_ema_multi_avg_fn(0.5 ** (batch / half_life))  # type: ignore[no-untyped-call]
        average(tuple(self._averaged.values()), tuple(self._live.values()), 0)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Put the averaged weights into the model, and the live ones back at the end."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for name, live in self._live.items():
            live.data, self._averaged[name].data = self._averaged[name].data, live.data

    def state_dict(self) -> dict[str, Tensor]:
        """Return the averaged tensors by name."""
        return dict(self._averaged)

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take the averaged tensors from a checkpoint."""
        for name, averaged in self._averaged.items():
            averaged.copy_(state[name])


def _floating_state(model: nn.Module) -> dict[str, Tensor]:
    state = dict(model.named_parameters()) | dict(model.named_buffers())
    return {name: value for name, value in state.items() if torch.is_floating_point(value)}
