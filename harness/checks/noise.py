"""Noise that belongs to the example and not to the batch, whatever model draws it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from harness.machine.seeding import derive

_SIZED = {torch.randn, torch.rand, torch.randint}
_SHAPED = {
    torch.randn_like,
    torch.rand_like,
    torch.randint_like,
    torch.bernoulli,
    torch.multinomial,
    torch.normal,
    torch.poisson,
    Tensor.normal_,
    Tensor.uniform_,
    Tensor.bernoulli_,
    Tensor.exponential_,
    Tensor.random_,
    Tensor.bernoulli,
    Tensor.multinomial,
}
_OVER_CATEGORIES = {torch.multinomial, Tensor.multinomial}


class PerExampleNoise(TorchFunctionMode):
    """Inside the block, every random draw over a batch is made example by example.

    The k-th draw for example i depends on (k, i) alone, so a model whose examples do not see each
    other computes the same whether it gets them together or in parts.

    Args:
        examples: how many there are in this batch; a draw's first axis of that length is the batch.
        first: index of the first among all examples.

    Attributes:
        shared: functions that drew noise with no axis for the batch.
    """

    def __init__(self, examples: int, first: int = 0) -> None:
        super().__init__()
        self.examples = examples
        self.first = first
        self.draws = 0
        self.shared: list[str] = []

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func not in _SIZED and func not in _SHAPED:
            return func(*args, **kwargs)
        self.draws += 1
        if func in _SIZED:
            args, kwargs = _with_size(func, args, kwargs)
        axes = [self._batch_axis(func, _shape(value)) for value in (*args, *kwargs.values())]
        axis = next((axis for axis in axes if axis is not None), None)
        if axis is None:
            self.shared.append(func.__name__)
            torch.default_generator.manual_seed(derive(self.draws))
            return func(*args, **kwargs)
        rows = []
        for i in range(self.examples):
            torch.default_generator.manual_seed(derive(self.draws, self.first + i))
            row = {name: self._only(func, value, i) for name, value in kwargs.items()}
            rows.append(func(*(self._only(func, value, i) for value in args), **row))
        return args[0] if func.__name__.endswith("_") else torch.cat(rows, axis)

    def _batch_axis(self, func: Callable[..., Any], shape: tuple[int, ...] | None) -> int | None:
        if shape is None:
            return None
        if func in _OVER_CATEGORIES:
            shape = shape[:-1]
            # torch.distributions flattens the batch with the axes that follow it.
            if shape and shape[0] % self.examples == 0:
                return 0
        return shape.index(self.examples) if self.examples in shape else None

    def _only(self, func: Callable[..., Any], value: Any, i: int) -> Any:
        """Return the part of an argument that belongs to example ``i``."""
        shape = _shape(value)
        axis = self._batch_axis(func, shape)
        if shape is None or axis is None:
            return value
        size = shape[axis] // self.examples
        if isinstance(value, Tensor):
            return value.narrow(axis, i * size, size)
        return (*shape[:axis], size, *shape[axis + 1 :])


def _shape(value: Any) -> tuple[int, ...] | None:
    if isinstance(value, Tensor):
        return tuple(value.shape)
    if isinstance(value, (tuple, list)) and all(isinstance(size, int) for size in value):
        return tuple(value)
    return None


def _with_size(
    func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]
) -> tuple[Sequence[Any], dict[str, Any]]:
    """Gather ``randn(2, 3)`` into ``randn((2, 3))``; ``randint`` has a tuple already."""
    if func is not torch.randint and args and isinstance(args[0], int):
        return (tuple(args),), kwargs
    return args, kwargs
