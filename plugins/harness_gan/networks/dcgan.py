"""Strided convolutions: Radford, Metz and Chintala, 2016, arXiv:1511.06434.

Batch normalisation everywhere but at the images' ends.
"""

from __future__ import annotations

from torch import nn

from harness_nets.sizes import generator_halvings


class Generator(nn.Sequential):
    """z (B, d) -> a seed grid, doubled up to the image in [-1, 1], (B, C, H, W)."""

    def __init__(self, shape: tuple[int, ...], latent: int, width: int) -> None:
        doublings = generator_halvings(shape)
        height, side = (size // 2**doublings for size in shape[1:])
        hidden = [width * 2**i for i in reversed(range(max(doublings, 1)))]
        layers: list[nn.Module] = [
            nn.Linear(latent, hidden[0] * height * side, bias=False),
            nn.Unflatten(1, (hidden[0], height, side)),
        ]
        for i in range(doublings - 1):
            layers += [
                nn.BatchNorm2d(hidden[i]),
                nn.ReLU(inplace=True),
                nn.ConvTranspose2d(hidden[i], hidden[i + 1], 4, 2, 1, bias=False),
            ]
        layers += [nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
        last = nn.ConvTranspose2d(width, shape[0], 4, 2, 1)
        layers += [last if doublings else nn.Conv2d(width, shape[0], 3, 1, 1), nn.Tanh()]
        super().__init__(*layers)


class Discriminator(nn.Sequential):
    """An image (B, C, H, W) -> a logit (B,): the generator's mirror image.

    Batch normalisation keeps no running statistics: D only ever sees whole training batches.
    """

    def __init__(self, shape: tuple[int, ...], width: int) -> None:
        count = generator_halvings(shape)
        area = shape[1] * shape[2] // 4**count
        hidden = [width * 2**i for i in range(max(count, 1))]
        first = nn.Conv2d(shape[0], width, 4, 2, 1)
        layers: list[nn.Module] = [first if count else nn.Conv2d(shape[0], width, 3, 1, 1)]
        layers += [nn.LeakyReLU(0.2, inplace=True)]
        for i in range(count - 1):
            layers += [
                nn.Conv2d(hidden[i], hidden[i + 1], 4, 2, 1, bias=False),
                nn.BatchNorm2d(hidden[i + 1], track_running_stats=False),
                nn.LeakyReLU(0.2, inplace=True),
            ]
        layers += [nn.Flatten(), nn.Linear(hidden[-1] * area, 1), nn.Flatten(0)]
        super().__init__(*layers)


def initialise(module: nn.Module) -> None:
    """Draw weights from N(0, 0.02^2), and batch normalisation's scales from N(1, 0.02^2)."""
    if isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
    elif isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
