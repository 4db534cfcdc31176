"""Random numbers of a whole batch, of which each device keeps the rows of its own images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

_IN_PLACE = {
    Tensor.bernoulli_,
    Tensor.cauchy_,
    Tensor.exponential_,
    Tensor.geometric_,
    Tensor.log_normal_,
    Tensor.normal_,
    Tensor.random_,
    Tensor.uniform_,
}
_CHOICES = {torch.multinomial, Tensor.multinomial}
_RANDOM = (
    _IN_PLACE
    | _CHOICES
    | {
        torch.rand,
        torch.randn,
        torch.randint,
        torch.normal,
        torch.rand_like,
        torch.randn_like,
        torch.randint_like,
        torch.bernoulli,
        torch.poisson,
        torch._standard_gamma,
        Tensor.bernoulli,
        torch.dropout,
        F.dropout,
        F.dropout1d,
        F.dropout2d,
        F.dropout3d,
        F.alpha_dropout,
        F.feature_alpha_dropout,
        F.gumbel_softmax,
    }
)


class WholeBatchNoise(TorchFunctionMode):
    """Draws noise that has one row for each image as it is drawn on a single device.

    All processes are seeded alike. Where a random function is about to return a row for each of the
    ``rows`` images of this device, it draws those of the whole batch instead, and the rows of this
    device are kept: what N devices compute is then, to rounding, what one does. What has another
    shape (the toss of a coin that decides for the whole batch) is drawn alike everywhere.

    Args:
        rows: images on this device; at least two, as a shape with one row is ambiguous.
        rank: of this device.
        count: of devices.
    """

    def __init__(self, rows: int, rank: int, count: int) -> None:
        super().__init__()
        self.rows = rows
        self.count = count
        self.mine = slice(rank * rows, (rank + 1) * rows)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run one function of torch."""
        kwargs = kwargs or {}
        if func not in _RANDOM or not self._has_rows(func, args, kwargs):
            return func(*args, **kwargs)
        if func in (torch.rand, torch.randn) and args and isinstance(args[0], int):
            args = (tuple(args),)
        drawn = func(
            *(self._enlarged(value) for value in args),
            **{name: self._enlarged(value) for name, value in kwargs.items()},
        )[self.mine]
        if func in _IN_PLACE:
            with torch.no_grad():
                return args[0].copy_(drawn)
        return drawn

    def _has_rows(self, func: Callable[..., Any], args: Sequence[Any], named: Any) -> bool:
        """Return whether the function draws a row for each image."""
        if func in _CHOICES:
            # A single distribution, from which images may be chosen, has no rows.
            return args[0].ndim == 2 and self._is_of_batch(args[0])
        if func in (torch.rand, torch.randn) and args and isinstance(args[0], int):
            return args[0] == self.rows
        return any(self._is_of_batch(value) for value in (*args, *named.values()))

    def _is_of_batch(self, value: Any) -> bool:
        """Return whether a tensor, or a shape, begins with the images of this device."""
        if isinstance(value, Tensor):
            return value.ndim > 0 and len(value) == self.rows
        return isinstance(value, (tuple, list)) and bool(value) and value[0] == self.rows

    def _enlarged(self, value: Any) -> Any:
        """Return a tensor or a shape with rows for the images of all devices."""
        if not self._is_of_batch(value):
            return value
        if isinstance(value, Tensor):
            return value.repeat(self.count, *[1] * (value.ndim - 1))
        return (self.rows * self.count, *value[1:])
