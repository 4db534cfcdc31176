"""Inception Score: are samples of one class each, and of all classes together?

Salimans et al., Improved Techniques for Training GANs, 2016, arXiv:1606.03498.
"""

from __future__ import annotations

import torch
from torch import Tensor

from harness.features.base import Features
from harness.metrics.base import Reference, SampleMetric
from harness.metrics.moments import finite


class InceptionScore(SampleMetric):
    """IS = exp(E_x KL(p(y|x) || p(y))), between 1 (collapsed) and the number of classes K.

    p(y) is the mean of p(y|x) over all samples, one split, so the order of samples does not matter.
    The mean over ten splits, which papers report too, is slightly less. The divergence is computed
    as H(p(y)) - E_x H(p(y|x)), with 0 ln 0 = 0 for classes that are never predicted.
    """

    comparative = False
    higher_is_better = True
    count: Tensor
    probability: Tensor
    entropy: Tensor

    def __init__(self, reference: Reference) -> None:
        super().__init__(reference)
        zero = torch.zeros((), dtype=torch.float64)
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")
        # A scalar until the first batch, whose number of classes it broadcasts to.
        self.add_state("probability", zero, dist_reduce_fx="sum")
        self.add_state("entropy", zero.clone(), dist_reduce_fx="sum")

    @classmethod
    def supports(cls, classes: int) -> str | None:
        """Return why it has no value in features with ``classes`` logits, or None if it has one."""
        if classes >= 2:
            return None
        return "the Inception Score needs class logits, which these features do not have"

    def update(self, features: Features) -> None:
        """Update with the logits (B, K) of one batch.

        Raises:
            NonFiniteFeatures: if a logit is NaN or infinite.
            ValueError: if there are no logits.
        """
        if features.logits is None:
            raise ValueError(self.supports(0))
        logits = finite(features.logits.to(self.device))
        log_p = logits - logits.logsumexp(dim=1, keepdim=True)
        p = log_p.exp()
        self.limits = {"is": (1.0, p.shape[1])}
        self.count += len(p)
        self.probability = self.probability + p.sum(0)
        self.entropy -= (p * log_p).sum()

    def compute(self) -> Tensor:
        """Return the score, a float64 scalar.

        Raises:
            ValueError: without images.
        """
        if not self.count:
            raise ValueError("the Inception Score needs at least 1 image, there are 0")
        marginal = self.probability / self.count
        divergence = -torch.xlogy(marginal, marginal).sum() - self.entropy / self.count
        return divergence.clamp(min=0).exp()
