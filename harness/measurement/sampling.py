"""Drawing images from a model: seeded by batch, checked, counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from harness.contract import Conditional, GenerativeModel
from harness.machine.flops import FlopCounter
from harness.machine.precision import Precision, autocast
from harness.machine.seeding import LABELS, SAMPLE, derive, reseed
from harness.plugins.contract_validation import validate_images, validate_levels


class SamplingCost(NamedTuple):
    """What one image costs, counted on a batch of ``n``.

    Attributes:
        evaluations: calls of ``network`` a batch.
        flops: of one image.
        uncounted: operators without a formula, which ``flops`` lacks, with their calls a batch.
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
        marginal: labels of the training split (N,), from which conditional models get theirs.
    """

    def __init__(
        self,
        model: GenerativeModel,
        *,
        seed: int,
        batch_size: int,
        precision: Precision,
        marginal: Tensor | None = None,
    ) -> None:
        self.model = model
        self.seed = seed
        self.batch_size = batch_size
        self.precision: Precision = precision
        self.marginal = marginal if isinstance(model, Conditional) else None
        self.device = model.device

    def draw(
        self, n: int, set_index: int = 0, on_batch: Callable[[], None] = lambda: None
    ) -> Tensor:
        """Return ``n`` images of sample set ``set_index`` on the CPU, uint8 (n, C, H, W).

        The first images of a set do not depend on ``n``.
        """
        batches = []
        for index, start in enumerate(range(0, n, self.batch_size)):
            reseed(self.device, self.seed, SAMPLE, set_index, index)
            # Whole batches, cut afterwards: a shorter last batch would draw other noise.
            images = self.draw_batch(
                self.batch_size, self.labels(self.batch_size, set_index, index)
            )
            # A copy on the CPU too: a model may fill the same memory anew at its next call.
            batches.append(images[: n - start].to("cpu", copy=True))
            on_batch()
        return torch.cat(batches)

    def draw_batch(self, n: int, labels: Tensor | None = None) -> Tensor:
        """Return one batch as the model draws it, on the device, checked.

        Raises:
            ContractBroken: type, shape or values are not what the contract says.
        """
        with evaluating(self.model), autocast(self.precision, self.device):
            images = self.model.sample(n, labels)
        method = f"sample({n})"
        validate_images(images, n, self.model.spec, method)
        validate_levels(images, self.model.spec, method)
        return images

    def cost(self, n: int = 4) -> SamplingCost:
        """Return what an image costs, counted on one batch of ``n``; a few images are enough."""
        reseed(self.device, self.seed, SAMPLE, 0, 0)
        with CallCounter(self.model.network) as calls, FlopCounter() as counter:
            self.draw_batch(n, self.labels(n))
        return SamplingCost(calls.total, counter.total / n, dict(counter.uncounted))

    def labels(self, n: int, *path: int) -> Tensor | None:
        """Return ``n`` labels from the marginal for a conditional model, seeded by ``path``."""
        if self.marginal is None:
            return None
        generator = torch.Generator().manual_seed(derive(self.seed, LABELS, *path))
        chosen = torch.randint(len(self.marginal), (n,), generator=generator)
        return self.marginal[chosen].to(self.device)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Set ``model`` to ``eval()``, without gradients, and back afterwards."""
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)
