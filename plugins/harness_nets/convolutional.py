"""Convolutional encoder and decoder between images and vectors, sized from the image."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness_nets.residual import ResidualBlock
from harness_nets.sizes import pyramid


def _channels(width: int, resolutions: int) -> list[int]:
    """Double ``width`` at every halving, but not beyond four times."""
    return [width * min(2**i, 4) for i in range(resolutions)]


class ConvolutionalEncoder(nn.Module):
    """Images (B, C, H, W) to vectors (B, outputs).

    Strided convolutions go down the ``pyramid``, with residual blocks below full resolution.

    Args:
        shape: (C, H, W).
        outputs: length of a vector.
        width: channels at full resolution.
        blocks: residual blocks at each lower resolution.
    """

    def __init__(self, shape: tuple[int, ...], outputs: int, width: int, blocks: int) -> None:
        super().__init__()
        sizes = pyramid(*shape[1:])
        channels = _channels(width, len(sizes))
        layers: list[nn.Module] = [nn.Conv2d(shape[0], width, 3, padding=1)]
        for above, below in zip(channels, channels[1:], strict=False):
            layers += [nn.SiLU(), nn.Conv2d(above, below, 3, stride=2, padding=1)]
            layers += [ResidualBlock(below) for _ in range(blocks)]
        bottom = channels[-1] * sizes[-1][0] * sizes[-1][1]
        self.layers = nn.Sequential(*layers, nn.SiLU(), nn.Flatten(), nn.Linear(bottom, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, outputs)."""
        return self.layers(x)


class Enlarge(nn.Module):
    """Double the resolution by a sub-pixel convolution, cropped (Shi et al., 2016, 1609.05158).

    Args:
        inputs: channels in.
        outputs: channels out.
        size: (H, W) of the output, at most twice the input's.
    """

    def __init__(self, inputs: int, outputs: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size
        self.convolution = nn.Conv2d(inputs, 4 * outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, h, w) to (B, outputs, H, W)."""
        height, width = self.size
        return F.pixel_shuffle(self.convolution(x), 2)[..., :height, :width]


class ConvolutionalDecoder(nn.Module):
    """Vectors (B, inputs) to maps (B, outputs, H, W): the encoder's mirror image.

    Args:
        shape: (outputs, H, W).
        inputs: length of a vector.
        width: channels at full resolution.
        blocks: residual blocks at each lower resolution.
    """

    def __init__(self, shape: tuple[int, ...], inputs: int, width: int, blocks: int) -> None:
        super().__init__()
        sizes = pyramid(*shape[1:])
        channels = _channels(width, len(sizes))
        self.bottom = torch.Size((channels[-1], *sizes[-1]))
        self.project = nn.Linear(inputs, self.bottom.numel())
        layers: list[nn.Module] = []
        for i in reversed(range(len(sizes) - 1)):
            layers += [ResidualBlock(channels[i + 1]) for _ in range(blocks)]
            layers += [nn.SiLU(), Enlarge(channels[i + 1], channels[i], sizes[i])]
        self.layers = nn.Sequential(*layers, nn.SiLU(), nn.Conv2d(width, shape[0], 3, padding=1))

    def forward(self, z: Tensor) -> Tensor:
        """Map (B, inputs) to (B, outputs, H, W)."""
        return self.layers(self.project(z).unflatten(1, self.bottom))
