"""Drawing samples from a model: seeded by batch, checked, counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from harness.contract import GenerativeModel
from harness.machine.flops import FlopCounter
from harness.machine.precision import Precision, autocast
from harness.machine.seeding import SAMPLE, reseed
from harness.plugins.contract_validation import validate_examples, validate_levels


class SamplingCost(NamedTuple):
    """Cost of one image, counted on a batch of ``n``.

    Attributes:
        evaluations: calls of ``network`` per batch.
        flops: of one image.
        uncounted: operators without a formula, which ``flops`` lacks, with their calls per batch.
    """

    evaluations: float
    flops: float
    uncounted: dict[str, int]


class CallCounter:
    """Counts the calls of a module inside; ``total`` is their number."""

    def __init__(self, module: nn.Module) -> None:
        self.total = 0
        self._module = module

    def __enter__(self) -> Self:
        """Begin to count."""
        self._handle = self._module.register_forward_hook(self._count)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._handle.remove()

    def _count(self, *_: object) -> None:
        self.total += 1


class Sampler:
    """Draws from one model in ``eval()`` and without gradients, the same for every model.

    Args:
        model: on its device.
        seed: of the trial; batch ``i`` of set ``k`` is seeded with (seed, k, i).
        batch_size: images drawn at a time.
        precision: of the network's arithmetic.
        conditions: y of held-out data (N, ...), from which conditional models sample, in order.
    """

    def __init__(
        self,
        model: GenerativeModel,
        *,
        seed: int,
        batch_size: int,
        precision: Precision,
        conditions: Tensor | None = None,
    ) -> None:
        self.model = model
        self.seed = seed
        self.batch_size = batch_size
        self.precision: Precision = precision
        self._conditions = conditions if model.is_conditional(model.spec) else None
        self.device = model.device

    def draw(
        self, n: int, set_index: int = 0, on_batch: Callable[[], None] = lambda: None
    ) -> Tensor:
        """Return ``n`` examples of sample set ``set_index`` on the CPU, uint8 (n, *x.shape).

        Example ``i`` is drawn from condition ``i`` of the held-out data, where the model takes one.
        The first examples of a set do not depend on ``n``.
        """
        batches = []
        for index, start in enumerate(range(0, n, self.batch_size)):
            reseed(self.device, self.seed, SAMPLE, set_index, index)
            # Complete batches, cut afterwards: a shorter last batch would draw other noise.
            x = self.draw_batch(self.batch_size, self.conditions(self.batch_size, start))
            # A copy on the CPU too: a model may reuse the same memory at its next call.
            batches.append(x[: n - start].to("cpu", copy=True))
            on_batch()
        return torch.cat(batches)

    def draw_batch(self, n: int, y: Tensor | None = None) -> Tensor:
        """Return one batch as drawn by the model, on the device, validated.

        Raises:
            ContractBroken: type, shape or values break the contract.
        """
        with evaluating(self.model), autocast(self.precision, self.device):
            x = self.model.sample(n, y)
        method = f"sample({n})"
        validate_examples(x, n, self.model.spec, method)
        validate_levels(x, self.model.spec, method)
        return x

    def cost(self, n: int = 4) -> SamplingCost:
        """Return the cost of an image, counted on one batch of ``n``; a few images are enough."""
        reseed(self.device, self.seed, SAMPLE, 0, 0)
        with CallCounter(self.model.network) as calls, FlopCounter() as counter:
            self.draw_batch(n, self.conditions(n))
        return SamplingCost(calls.total, counter.total / n, dict(counter.uncounted))

    def conditions(self, n: int, start: int = 0) -> Tensor | None:
        """Return ``n`` conditions from number ``start`` on, in the order of the held-out data.

        After the last comes the first again. None for a model that takes none.
        """
        if self._conditions is None:
            return None
        return self._conditions[torch.arange(start, start + n) % len(self._conditions)].to(
            self.device
        )


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Set ``model`` to ``eval()`` without gradients, and restore it afterwards."""
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)
