"""Values as features: the fallback for data that no classifier knows."""

from __future__ import annotations

import hashlib
import math

from torch import Tensor
from torch.nn import functional as F

from harness.contract import AXES, DataSpec
from harness.features.base import FeatureExtractor, Features

LARGEST = 256


class Pixels(FeatureExtractor):
    """Values i / (levels - 1) in [0, 1] of any x, averaged over areas to at most 256 of each.

    The last two axes of an image or a video are its height and width, all before are channels; of
    a sound and a text the last one is its length. Each side keeps its length up to
    floor(sqrt(256 / C)): 16 of gray images, 9 of RGB; a length up to 256 / C.
    """

    reads = frozenset(AXES) - {"label"}

    def __init__(self, spec: DataSpec) -> None:
        super().__init__(spec)
        channels, height, width = spec.x.planes
        side = (
            max(1, math.isqrt(LARGEST // channels)) if height > 1 else max(1, LARGEST // channels)
        )
        self.grid = (min(height, side), min(width, side))
        self.dimensions = channels * math.prod(self.grid)
        identity = f"pixels 2: i / (levels - 1), float32, mean over areas to {self.grid}; {spec.x}"
        self.digest = hashlib.sha256(identity.encode()).hexdigest()

    def forward(self, images: Tensor) -> Features:
        """Extract features (B, C h w) of uint8 x (B, *x.shape)."""
        x = images.view(-1, *self.spec.x.planes).float() / (self.spec.levels - 1)
        return Features(F.adaptive_avg_pool2d(x, self.grid).flatten(1), None)
