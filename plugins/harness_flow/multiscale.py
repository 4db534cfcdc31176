"""Multi-scale flows: at each scale half of the channels leave as noise (arXiv:1605.08803, 3.6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from harness_flow.bijection import Bijection


class MultiScale(Bijection):
    """Scales one after another; each but the last factors out half of its channels.

    Data are (B, C, H, W); noise is flat, (B, C H W): what left first comes first. All scales
    get the same condition.

    Args:
        parts: a bijection for each scale, the one nearest to the data first.
        shapes: (C, H, W) of each one's noise side.
    """

    def __init__(self, parts: Sequence[Bijection], shapes: Sequence[tuple[int, ...]]) -> None:
        super().__init__()
        self.parts = cast("Sequence[Bijection]", nn.ModuleList(parts))
        self.shapes = [torch.Size(shape) for shape in shapes]
        halved = [shape.numel() // 2 for shape in self.shapes[:-1]]
        self.lengths = [*halved, self.shapes[-1].numel()]

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Map noise (B, C H W) to data (B, C, H, W)."""
        *left, h = z.split(self.lengths, 1)
        h = self.parts[-1](h.unflatten(1, self.shapes[-1]), condition)
        for part, shape, noise in reversed(list(zip(self.parts, self.shapes, left, strict=False))):
            h = part(torch.cat((h.flatten(1), noise), 1).unflatten(1, shape), condition)
        return h

    def inverse(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map data (B, C, H, W) to noise (B, C H W) and log |det dz/dx|, (B,)."""
        left: list[Tensor] = []
        total = x.new_zeros(len(x))
        for part in self.parts[:-1]:
            x, log_det = part.inverse(x, condition)
            x, noise = x.chunk(2, 1)
            left.append(noise.flatten(1))
            total = total + log_det
        x, log_det = self.parts[-1].inverse(x, condition)
        return torch.cat((*left, x.flatten(1)), 1), total + log_det
