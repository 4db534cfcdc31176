"""Residual blocks of 3x3 convolutions."""

from __future__ import annotations

from typing import TypeVar

from torch import Tensor, nn
from torch.nn import functional as F

Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


def zero(layer: Layer) -> Layer:
    """Set weights and bias to zero, so that a residual branch starts as the identity."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class ResidualBlock(nn.Module):
    """Pre-activation residual block: y = x + W2 * silu(W1 * silu(x)) (He et al., 2016).

    W2 starts at zero, so that a stack of blocks starts as the identity and needs no normalisation
    (Zhang et al., 2019, arXiv:1901.09321).

    Args:
        channels: of input and output.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels, H, W) to the same shape."""
        return x + self.second(F.silu(self.first(F.silu(x))))
