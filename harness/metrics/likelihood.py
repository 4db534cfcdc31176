"""Likelihood in bits per dimension, never mixing exact values, bounds and estimates."""

from __future__ import annotations

import math
from typing import get_args

import torch
from torch import Tensor
from torchmetrics import Metric

from harness.contract import LikelihoodKind

KINDS: tuple[LikelihoodKind, ...] = get_args(LikelihoodKind)


class BitsPerDimension(Metric):
    """Mean over images of -log P(image) / (D ln 2), in bits per sub-pixel; lower is better.

    Theis et al., A note on the evaluation of generative models, 2016, arXiv:1511.01844.

    Args:
        dimensions: D = C H W.
    """

    full_state_update = False
    higher_is_better = False
    counts: Tensor
    total: Tensor
    squares: Tensor

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self.dimensions = dimensions
        zero = torch.zeros((), dtype=torch.float64)
        # Images by kind: merged states show a mixture as much as a single one does.
        self.add_state("counts", torch.zeros(len(KINDS), dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("total", zero, dist_reduce_fx="sum")
        self.add_state("squares", zero.clone(), dist_reduce_fx="sum")

    def update(self, nats: Tensor, kind: LikelihoodKind) -> None:
        """Update with the log-likelihoods (B,) of discrete images, in nats.

        Raises:
            ValueError: if a value is NaN or plus infinity, or if other images had another kind.
        """
        bad = nats.isnan() | nats.isposinf()
        if bad.any():
            raise ValueError(f"{int(bad.sum())} of {len(nats)} log-likelihoods are NaN or infinite")
        counts = self.counts.clone()
        counts[KINDS.index(kind)] += len(nats)
        _kind(counts)
        bits = -nats.to(self.device, torch.float64) / (self.dimensions * math.log(2))
        self.counts = counts
        self.total += bits.sum()
        self.squares += bits.square().sum()

    @property
    def kind(self) -> LikelihoodKind:
        """The kind of likelihood of all images so far."""
        return _kind(self.counts)

    def compute(self) -> Tensor:
        """Return mean bits per dimension, a float64 scalar; infinite if an image is impossible.

        Raises:
            ValueError: without images, or if merged states had different kinds.
        """
        _kind(self.counts)
        return self.total / self.counts.sum()

    @property
    def standard_error(self) -> Tensor:
        """Standard deviation over images / sqrt(n), float64; infinite if an image is impossible."""
        n = int(self.counts.sum())
        if n < 2:
            raise ValueError(f"a standard error needs at least 2 images, there are {n}")
        if self.total.isinf():
            return self.total
        variance = (self.squares - self.total.square() / n) / (n - 1)
        return (variance.clamp(min=0) / n).sqrt()


def _kind(counts: Tensor) -> LikelihoodKind:
    found = [kind for kind, count in zip(KINDS, counts.tolist(), strict=True) if count]
    if not found:
        raise ValueError("there are no images yet")
    if len(found) > 1:
        raise ValueError(f"likelihoods of different kinds do not average: {' and '.join(found)}")
    return found[0]
