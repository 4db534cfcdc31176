"""The order in which a model sees the training examples: the harness's, the same for all."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.contract import Batch
from harness.dataset import Split
from harness.machine.seeding import CONDITION_ORDER, ORDER, derive


class BatchStream:
    """Batches of a split on the device, in a new random order each epoch.

    Batch ``i`` is a function of (seed, i) alone, so that a resumed trial continues where it
    stopped. Batches cross the boundaries of epochs: no example is dropped, and the last batch is
    as large as the first.

    Args:
        split: of the data.
        batch_size: examples in a batch.
        seed: of the trial.
        device: where the split is kept, and batches are made.
        paired: whether x and y of a batch belong together; otherwise each has an order of its own.
    """

    def __init__(
        self,
        split: Split,
        batch_size: int,
        seed: int,
        device: torch.device,
        *,
        paired: bool = True,
    ) -> None:
        self.x = torch.from_numpy(split.x).to(device)
        self.y = None if split.y is None else torch.from_numpy(split.y).to(device)
        self.batch_size = batch_size
        self._x_order = _Order(len(self.x), device, seed, ORDER)
        self._y_order = self._x_order
        if self.y is not None and not paired:
            self._y_order = _Order(len(self.y), device, seed, CONDITION_ORDER)

    def batch(self, index: int) -> Batch:
        """Return batch number ``index``."""
        start, stop = index * self.batch_size, (index + 1) * self.batch_size
        chosen = self._x_order.indices(start, stop)
        x = self.x.index_select(0, chosen)
        if self.y is None:
            return Batch(x)
        if self._y_order is not self._x_order:
            chosen = self._y_order.indices(start, stop)
        return Batch(x, self.y.index_select(0, chosen))


class _Order:
    """An endless sequence of indices in which each of ``n`` comes once an epoch."""

    def __init__(self, n: int, device: torch.device, *seed: int) -> None:
        self.n = n
        self.device = device
        self.seed = seed
        self._epochs: dict[int, Tensor] = {}

    def indices(self, start: int, stop: int) -> Tensor:
        """Return elements [start, stop) of the sequence."""
        n = self.n
        epochs = range(start // n, (stop - 1) // n + 1)
        pieces = [
            self._epoch(epoch)[max(start - epoch * n, 0) : min(stop - epoch * n, n)]
            for epoch in epochs
        ]
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces)

    def _epoch(self, epoch: int) -> Tensor:
        if epoch not in self._epochs:
            generator = torch.Generator().manual_seed(derive(*self.seed, epoch))
            order = torch.randperm(self.n, generator=generator)
            self._epochs = {e: o for e, o in self._epochs.items() if e == epoch - 1}
            self._epochs[epoch] = order.to(self.device)
        return self._epochs[epoch]
