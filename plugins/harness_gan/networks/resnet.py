"""Residual networks: Miyato, Kataoka, Koyama and Yoshida, 2018, arXiv:1802.05957."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import spectral_norm

from harness_nets.sizes import generator_halvings


class GeneratorBlock(nn.Module):
    """(B, K, h, w) -> (B, K, 2h, 2w): two convolutions, batch normalisation before each."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(width, width, 3, 1, 1),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, 1, 1),
        )
        self.shortcut = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Add the residual to the enlarged shortcut; a 1x1 convolution commutes with enlarging."""
        return F.interpolate(self.shortcut(x), scale_factor=2) + self.residual(x)


class Generator(nn.Sequential):
    """z (B, d) -> a seed grid, doubled up to the image in [-1, 1], (B, C, H, W)."""

    def __init__(self, shape: tuple[int, ...], latent: int, width: int) -> None:
        doublings = generator_halvings(shape)
        height, side = (size // 2**doublings for size in shape[1:])
        super().__init__(
            nn.Linear(latent, width * height * side),
            nn.Unflatten(1, (width, height, side)),
            *(GeneratorBlock(width) for _ in range(doublings)),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, shape[0], 3, 1, 1),
            nn.Tanh(),
        )
        self.apply(initialise)


class DiscriminatorBlock(nn.Module):
    """(B, K', h, w) -> (B, K, h, w), or half the sides: two convolutions and a shortcut."""

    def __init__(self, channels: int, width: int, halve: bool, first: bool = False) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.Identity() if first else nn.ReLU(),
            nn.Conv2d(channels, width, 3, 1, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, 1, 1),
        )
        self.shortcut = nn.Conv2d(channels, width, 1) if halve or first else nn.Identity()
        self.resize: nn.Module = nn.AvgPool2d(2) if halve else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Add residual and shortcut, then average 2x2 pixels."""
        return self.resize(self.residual(x) + self.shortcut(x))


class Discriminator(nn.Module):
    """An image (B, C, H, W) -> a logit (B,), with the spectral norm of every layer at one.

    As in the paper: four blocks, of which the first two halve the sides.
    """

    def __init__(self, shape: tuple[int, ...], width: int) -> None:
        super().__init__()
        halved = min(generator_halvings(shape), 2)
        self.blocks = nn.Sequential(
            *(
                DiscriminatorBlock(shape[0] if i == 0 else width, width, i < halved, first=i == 0)
                for i in range(4)
            )
        )
        self.logit = nn.Linear(width, 1)
        self.apply(initialise)
        self.normalised = [m for m in self.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
        for layer in self.normalised:
            spectral_norm(layer)

    def forward(self, x: Tensor) -> Tensor:
        """Sum features over pixels, then weigh them."""
        with parametrize.cached():
            # Autocast would take the singular values in half precision.
            with torch.autocast(x.device.type, enabled=False):
                for layer in self.normalised:
                    _ = layer.weight
            return self.logit(F.relu(self.blocks(x)).sum((2, 3))).squeeze(1)


def initialise(module: nn.Module) -> None:
    """Draw weights by Glorot and Bengio's uniform rule (2010), and set biases to zero."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
