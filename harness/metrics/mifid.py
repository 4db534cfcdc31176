"""Frechet distances that take copies of training images into account."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from harness.metrics.base import Figure, Moments, Reference
from harness.metrics.frechet import frechet_distance
from harness.metrics.memorisation import NOTHING_HELD_OUT
from harness.metrics.moments import moments
from harness.metrics.tiles import PairwiseMetric, tiles

THRESHOLD = 0.5
"""The share of held-out images' memorisation distance below which samples count as copies."""
EPSILON = 1e-6
ROUNDING = 1e-9
"""A Frechet distance below this share of the data's variance is 0 but for rounding."""
WHOLE = "the samples are the whole training set, whose FID, 0, no penalty raises"


def memorisation_distance(samples: Tensor, real: Tensor) -> Tensor:
    """Return the mean over samples of the least cosine distance 1 - |cos| to a real image.

    Vectors (n, d) and (m, d) without direction, zeros, have the distance 1 to all others.
    """
    x, y = (F.normalize(vectors.double(), dim=1) for vectors in (samples, real))
    closest = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    for tile in tiles(x, y):
        cosines = (tile.x @ tile.y.T).abs_().amax(1)
        closest[tile.rows] = torch.maximum(closest[tile.rows], cosines)
    return (1 - closest).clamp(min=0).mean()


class MemorisationInformedDistance(PairwiseMetric):
    """MiFID, and the gap between the Frechet distances to train and to held-out images.

    MiFID = FID m, where s = mean over samples x of min over training images t of 1 - |cos(x, t)|,
    and m = 1 / (s + 1e-6) if s is below a threshold, else 1 (Bai et al., On Training Sample
    Memorization, 2021, arXiv:2106.03062). The minimum is over training images; the other way round,
    a model that copies few of them would escape. The paper leaves the threshold to the data: here
    it is half the s of held-out images.

    ``mifid`` is the paper's, of FID to train, the more misleading the nearer the number of samples
    is to that of training images: a copy of them all has no FID to multiply. ``mifid_test`` has the
    same m times FID to held-out images, which no copy escapes.

    The gap is FID to train minus FID to held-out images. Fewer held-out images mean a larger bias,
    so an honest model's is below 0 too; a copy's is lower still, by some 1 / N of the training set.
    """

    limits = dict.fromkeys(("mifid", "mifid_test"), (0.0, math.inf))
    comparative = False
    costly = True
    held_out_columns = frozenset({"mifid_test", "fid_gap"})

    @property
    def protocol(self) -> str:
        """What is compared, and the threshold."""
        reference, other = self.reference, self._held_out()
        return (
            f"copies of {reference.moments.n} of {reference.split}, {other.moments.n} of "
            f"{other.split} held out, threshold {THRESHOLD * float(self._usual()):.4g}"
        )

    def compute(self) -> dict[str, Figure | str]:
        """Return mifid, mifid_test and fid_gap.

        Raises:
            ValueError: with fewer than two images, or where nothing is held out.
        """
        x, other = self.samples(), self._held_out()
        n, mean, covariance = moments([x])
        own = Moments(n, mean.cpu(), covariance.cpu())
        to_seen = frechet_distance(own, self.reference.moments)
        to_unseen = frechet_distance(own, other.moments)
        distance = memorisation_distance(x, self.reference.features.vectors.to(self.device)).cpu()
        copied = distance < THRESHOLD * self._usual()
        penalty = torch.where(copied, 1 / (distance + EPSILON), 1.0)
        nothing = to_seen < ROUNDING * self.reference.moments.covariance.trace()
        return {
            "mifid": WHOLE if copied and nothing else Figure(penalty * to_seen),
            "mifid_test": Figure(penalty * to_unseen),
            "fid_gap": Figure(to_seen - to_unseen),
        }

    def _usual(self) -> Tensor:
        """Return the memorisation distance of held-out images."""
        seen, unseen = (each.features.vectors for each in (self.reference, self._held_out()))
        known = self.reference.derived(
            "memorisation distance 1, held out",
            lambda: {
                "distance": memorisation_distance(*(v.to(self.device) for v in (unseen, seen)))
            },
        )
        return known["distance"]

    def _held_out(self) -> Reference:
        if self.reference.held_out is None:
            raise ValueError(NOTHING_HELD_OUT)
        return self.reference.held_out
