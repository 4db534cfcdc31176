"""The order in which a model sees the training images: the harness's, the same for every model."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.contract import Batch
from harness.dataset import Split
from harness.machine.seeding import ORDER, derive


class BatchStream:
    """Batches of a split that lives on the device, in a new random order each epoch.

    Batch ``i`` is a function of (seed, i) alone, so that a resumed trial continues where it was.
    Batches run across the border of epochs: no image is dropped, and the last batch is as large as
    the first.
    """

    def __init__(self, split: Split, batch_size: int, seed: int, device: torch.device) -> None:
        self.images = torch.from_numpy(split.images).to(device)
        self.labels = None if split.labels is None else torch.from_numpy(split.labels).to(device)
        self.batch_size = batch_size
        self.seed = seed
        self._orders: dict[int, Tensor] = {}

    def batch(self, index: int) -> Batch:
        """Return batch number ``index``."""
        chosen = self._indices(index * self.batch_size, (index + 1) * self.batch_size)
        labels = None if self.labels is None else self.labels.index_select(0, chosen)
        return Batch(self.images.index_select(0, chosen), labels)

    def _indices(self, start: int, stop: int) -> Tensor:
        n = len(self.images)
        epochs = range(start // n, (stop - 1) // n + 1)
        pieces = [
            self._order(epoch)[max(start - epoch * n, 0) : min(stop - epoch * n, n)]
            for epoch in epochs
        ]
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces)

    def _order(self, epoch: int) -> Tensor:
        if epoch not in self._orders:
            generator = torch.Generator().manual_seed(derive(self.seed, ORDER, epoch))
            order = torch.randperm(len(self.images), generator=generator)
            self._orders = {e: o for e, o in self._orders.items() if e == epoch - 1}
            self._orders[epoch] = order.to(self.images.device)
        return self._orders[epoch]
