"""Embeddings of time, for networks that are conditioned on the noise level."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

LONGEST = 10_000.0
SCALE = 1_000.0


class SinusoidalEmbedding(nn.Module):
    """Embed a time in [0, 1] in sines and cosines of geometrically spaced frequencies.

        y_k = sin(1000 t w_k),  y_{k + d/2} = cos(1000 t w_k),  w_k = 10000^(-2k / d)

    The factor 1000 makes it the embedding of the step of a process with 1000 steps. Float32 under
    autocast too: half precision cannot distinguish neighbouring steps.

    Vaswani et al., 2017, arXiv:1706.03762; for diffusion Ho et al., 2020, arXiv:2006.11239.

    Args:
        dimensions: d, even.
    """

    frequencies: Tensor

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        if dimensions < 2 or dimensions % 2:
            raise ValueError(f"an embedding has an even number of dimensions, not {dimensions}")
        half = dimensions // 2
        powers = torch.arange(half, dtype=torch.float64) / half
        frequencies = torch.exp(-math.log(LONGEST) * powers)
        self.register_buffer("frequencies", frequencies.float(), persistent=False)

    def forward(self, t: Tensor) -> Tensor:
        """Embed times (B,) as float32 (B, d)."""
        angles = SCALE * t.float()[:, None] * self.frequencies
        return torch.cat([angles.sin(), angles.cos()], dim=1)
