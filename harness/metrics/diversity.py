"""Diversity: classes covered, and the effective number of different images."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from harness.features.base import Features
from harness.metrics.base import Figure, Reference, SampleMetric
from harness.metrics.moments import finite


def predicted(logits: Tensor) -> Tensor:
    """Return how many images are predicted to be of each class, (K,), from logits (B, K).

    Raises:
        NonFiniteFeatures: if a logit is NaN or infinite.
    """
    return finite(logits).argmax(1).bincount(minlength=logits.shape[1])


class LabelDiversity(SampleMetric):
    """Modes covered, and the divergence of the samples' classes from the real ones.

    ``modes``: classes that the classifier finds among the samples. ``label_kl``: KL(p || q) =
    sum p ln (p / q) in nats, of the shares p of predicted classes among samples and q among real
    images (Srivastava et al., VEEGAN, 2017, arXiv:1705.07761). With as many classes as real data
    have and equal shares it is 0; a generator that collapsed to one of K equal classes has ln K. It
    is infinite, and has no value, where samples are of classes that no real image is.
    """

    limits = {"modes": (1.0, math.inf), "label_kl": (0.0, math.inf)}
    comparative = False
    counts: Tensor

    def __init__(self, reference: Reference) -> None:
        super().__init__(reference)
        # A scalar until the first batch, whose number of classes it broadcasts to.
        self.add_state("counts", torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")

    @classmethod
    def supports(cls, classes: int) -> str | None:
        """Return why it has no value in features with ``classes`` logits, or None if it has one."""
        if classes >= 2:
            return None
        return "classes need a classifier's logits, which these features do not have"

    @property
    def protocol(self) -> str:
        """The images that classes are compared with."""
        return f"classes as predicted, against {self.reference.moments.n} of {self.reference.split}"

    def update(self, features: Features) -> None:
        """Update with the logits (B, K) of one batch.

        Raises:
            NonFiniteFeatures: if a logit is NaN or infinite.
            ValueError: if there are no logits.
        """
        self.counts = self.counts + self._predicted(features).to(self.device)

    def compute(self) -> dict[str, Figure | str]:
        """Return modes and label_kl.

        Raises:
            ValueError: without images.
        """
        if not self.counts.sum():
            raise ValueError("classes need at least 1 image, there are 0")
        known = self.reference.derived(
            "predicted classes 1", lambda: {"counts": self._predicted(self.reference.features)}
        )
        real = known["counts"].to(self.device).double()
        modes = Figure((self.counts > 0).double().sum())
        foreign = int(self.counts[real == 0].sum())
        if foreign:
            return {"modes": modes, "label_kl": self._infinite(foreign)}
        p, q = self.counts / self.counts.sum(), real / real.sum()
        divergence = torch.xlogy(p, p).sum() - torch.xlogy(p, q).sum()
        return {"modes": modes, "label_kl": Figure(divergence.clamp(min=0))}

    def _infinite(self, foreign: int) -> str:
        return (
            f"{foreign} of {int(self.counts.sum())} samples are of classes that no image of "
            f"{self.reference.split} is predicted to be of, so the divergence is infinite"
        )

    def _predicted(self, features: Features) -> Tensor:
        if features.logits is None:
            raise ValueError(self.supports(0))
        return predicted(features.logits)


class VendiScore(SampleMetric):
    """The effective number of different images: exp of the entropy of a similarity's spectrum.

    VS = exp(-sum l ln l) over the eigenvalues l of K / n, where K is the cosine similarity of
    features (Friedman and Dieng, The Vendi Score, 2023, arXiv:2210.02410): 1 if all images are the
    same, at most d. Those of X^T X / n, d by d, are the same but for zeros, so every sample counts
    and nothing grows with n. Features are taken relative to the reference's mean, or all would
    point the same way.
    """

    comparative = False
    higher_is_better = True
    count: Tensor
    zeros: Tensor
    second: Tensor

    def __init__(self, reference: Reference) -> None:
        super().__init__(reference)
        d = len(reference.moments.mean)
        self.limits = {"vendi": (1.0, d)}
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("zeros", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("second", torch.zeros(d, d, dtype=torch.float64), dist_reduce_fx="sum")

    @property
    def protocol(self) -> str:
        """The similarity."""
        return f"cosine similarity about the mean of {self.reference.split}"

    def update(self, features: Features) -> None:
        """Update with the vectors (B, d) of one batch; raises ``NonFiniteFeatures``."""
        x = finite(features.vectors.to(self.device)) - self.reference.moments.mean.to(self.device)
        directions = F.normalize(x, dim=1)
        self.count += len(x)
        self.zeros += (directions.square().sum(1) < 0.5).sum()
        self.second += directions.T @ directions

    def compute(self) -> Tensor:
        """Return the score, a float64 scalar.

        Raises:
            ValueError: without images, or where a vector has no direction.
        """
        if not self.count:
            raise ValueError("the Vendi score needs at least 1 image, there are 0")
        if self.zeros:
            raise ValueError(
                f"{int(self.zeros)} of {int(self.count)} feature vectors are the reference's mean, "
                "which has no cosine similarity to anything"
            )
        spectrum = torch.linalg.eigvalsh(self.second / self.count).clamp(min=0)
        return (-torch.xlogy(spectrum, spectrum).sum()).exp()
