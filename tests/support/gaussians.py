"""Features with a known distribution."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.metrics.base import Moments


def features(n: int, d: int, seed: int = 0, shift: float = 0.0) -> Tensor:
    """Draw correlated features (n, d), float64, whose spectrum falls as 1/k: like a network's."""
    mixing = torch.Generator().manual_seed(d)
    rotation = torch.linalg.qr(
        torch.randn(d, d, dtype=torch.float64, generator=mixing)
    ).Q / torch.arange(1, d + 1, dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(n, d, dtype=torch.float64, generator=generator)
    return noise @ rotation.T + shift


def moments_of(x: Tensor) -> Moments:
    """Return the moments of features held in memory, by torch's own two-pass covariance."""
    return Moments(len(x), x.mean(0), torch.cov(x.T).reshape(x.shape[1], x.shape[1]))
