"""Communication of the processes of a trial: shares of a batch, progress, agreement."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, nn
from torch._C import _distributed_c10d as c10d

from harness.contract import Batch
from harness.training.parallel.batch_norm import synchronise
from harness.training.parallel.gradients import GradientAverage
from harness.training.parallel.noise import WholeBatchNoise

LOOPBACK = "127.0.0.1"
"""All processes of a trial are on one machine, and trust what they receive."""

_FOREVER = timedelta(days=365)
_PAUSE = timedelta(days=1)
"""A shorter pause of the machine must not end a trial; the leader's watcher ends what hangs."""


class NotParallel(Exception):
    """A model does not train on several devices as it does on one."""


class SingleProcess:
    """A trial in a single process: it has every batch to itself.

    Attributes:
        count: processes, each with a device of its own.
    """

    count = 1

    def prepare(self, model: nn.Module) -> None:
        """Prepare a new model to learn from the batches of all processes."""

    @contextmanager
    def share(self, batch: Batch) -> Iterator[Batch]:
        """Yield this process's part of a batch; inside, noise and moments are the batch's."""
        yield batch

    def agree(self, value: float) -> float:
        """Return the ``value`` of the first process, in all of them."""
        return value

    def mean(self, values: Mapping[str, float]) -> dict[str, float]:
        """Return the means over the processes, which must all have the same names."""
        return dict(values)

    def any(self, found: bool) -> bool:
        """Return whether ``found`` is true in any process."""
        return found

    def verify(self, model: nn.Module) -> None:
        """Check that the model is the same in all processes.

        Raises:
            NotParallel: it is not; names the first tensor that differs.
        """


ALONE = SingleProcess()


class Replicas(SingleProcess):
    """One of ``count`` processes that train one model, each on its part of every batch.

    Every process holds the whole model and every optimizer, is seeded alike, and steps by the same
    averaged gradients, so that models stay equal bit by bit; ``verify`` holds them to it.

    Args:
        rank: 0 leads: its clock and its decisions count.
        count: processes.
        store: of ``torch.distributed``, where they find each other.
        device: of this process.
        patience: seconds after which its trial has ended a process that hangs; waiting for the
            others times out only after that and a pause of the machine.
    """

    def __init__(
        self, rank: int, count: int, store: Any, device: torch.device, patience: float
    ) -> None:
        self.rank = rank
        self.count = count
        self._sharing = False
        # Not init_process_group: torchmetrics, and perhaps plugins, behave differently if there is
        # a default group, and the leader would wait for others while it measures alone.
        kind: Any = c10d.ProcessGroupNCCL if device.type == "cuda" else _gloo
        self._gradients = kind(
            c10d.PrefixStore("gradients", store), rank, count, timedelta(seconds=patience) + _PAUSE
        )
        # While the leader measures, the others wait for it: as long as that takes.
        self._word = _gloo(c10d.PrefixStore("word", store), rank, count, _FOREVER)

    def prepare(self, model: nn.Module) -> None:
        """Average gradients, and the moments of batch normalisation, over the processes."""
        GradientAverage(model, self._average)
        synchronise(model, self.count, self._average, lambda: self._sharing)

    @contextmanager
    def share(self, batch: Batch) -> Iterator[Batch]:
        """Yield this process's part of a batch; inside, noise and moments are the batch's."""
        rows = len(batch.x) // self.count
        mine = slice(self.rank * rows, (self.rank + 1) * rows)
        labels = None if batch.y is None else batch.y[mine]
        self._sharing = True
        try:
            with WholeBatchNoise(rows, self.rank, self.count):
                yield Batch(batch.x[mine], labels)
        finally:
            self._sharing = False

    def agree(self, value: float) -> float:
        """Return the ``value`` of the first process, in all of them."""
        word = torch.tensor(value, dtype=torch.float64)
        self._word.broadcast(word, 0).wait()
        return float(word)

    def mean(self, values: Mapping[str, float]) -> dict[str, float]:
        """Return the means over the processes, which must all have the same names."""
        if not values:
            return {}
        means = torch.tensor(list(values.values()), dtype=torch.float64)
        self._word.allreduce(means).wait()
        return dict(zip(values, (means / self.count).tolist(), strict=True))

    def any(self, found: bool) -> bool:
        """Return whether ``found`` is true in any process."""
        word = torch.tensor(found, dtype=torch.uint8)
        self._word.allreduce(word, c10d.ReduceOp.MAX).wait()
        return bool(word)

    def _average(self, tensor: Tensor) -> None:
        """Replace a tensor by its mean over the processes."""
        self._gradients.allreduce(tensor).wait()
        tensor /= self.count

    def verify(self, model: nn.Module) -> None:
        """Check that parameters and buffers are the same in all processes.

        Raises:
            NotParallel: names the first tensor that differs.
        """
        state = dict(model.named_parameters()) | dict(model.named_buffers())
        sums = torch.stack([_sum(tensor) for tensor in state.values()]).cpu()
        leader = sums.clone()
        self._word.broadcast(leader, 0).wait()
        alike = (sums == leader) | (sums.isnan() & leader.isnan())
        differs = (~alike).to(torch.uint8)
        self._word.allreduce(differs, c10d.ReduceOp.MAX).wait()
        if differs.any():
            name = list(state)[int(differs.argmax())]
            raise NotParallel(
                f"{name!r} is no longer the same on all {self.count} devices: it depends on a "
                "part of the batch other than through gradients, so this model trains on one "
                "device only (devices_per_trial = 1)"
            )


def _gloo(store: Any, rank: int, count: int, patience: timedelta) -> Any:
    """Return a group that other machines cannot reach, whatever this host's name resolves to."""
    gloo: Any = c10d.ProcessGroupGloo
    options = gloo._Options()
    options._devices = [gloo.create_device(hostname=LOOPBACK)]
    options._timeout = patience
    return gloo(store, rank, count, options)


def _sum(tensor: Tensor) -> Tensor:
    """Return a checksum that equal tensors share; NaN for one with both infinities."""
    found = tensor.detach()
    return (torch.view_as_real(found) if found.is_complex() else found).double().sum()
