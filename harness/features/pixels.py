"""Pixels as features: the fallback for images that no classifier knows."""

from __future__ import annotations

import hashlib
import math

from torch import Tensor
from torch.nn import functional as F

from harness.contract import DataSpec
from harness.features.base import FeatureExtractor, Features

LARGEST = 256


class Pixels(FeatureExtractor):
    """Pixels i / (levels - 1) in [0, 1], averaged over areas to at most 256 values an image.

    Each side keeps its length up to floor(sqrt(256 / C)): 16 for grey images, 9 for RGB.

    Raises:
        ValueError: if images have no shape (C, H, W).
    """

    def __init__(self, spec: DataSpec) -> None:
        super().__init__(spec)
        if reason := self.supports(spec):
            raise ValueError(reason)
        channels, height, width = spec.shape
        side = max(1, math.isqrt(LARGEST // channels))
        self.grid = (min(height, side), min(width, side))
        self.dimensions = channels * math.prod(self.grid)
        ruler = f"pixels 1: i / (levels - 1), float32, mean over areas to {self.grid}; {spec}"
        self.digest = hashlib.sha256(ruler.encode()).hexdigest()

    @classmethod
    def supports(cls, spec: DataSpec) -> str | None:
        """Return why images of ``spec`` cannot be measured, or None if they can."""
        if len(spec.shape) == 3:
            return None
        return f"pixels measure images (C, H, W), not arrays of shape {spec.shape}"

    def forward(self, images: Tensor) -> Features:
        """Extract features (B, C h w) of uint8 images (B, C, H, W)."""
        x = images.float() / (self.spec.levels - 1)
        return Features(F.adaptive_avg_pool2d(x, self.grid).flatten(1), None)
