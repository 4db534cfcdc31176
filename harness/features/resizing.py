"""Input of large networks: RGB, float32, resized with antialiasing.

Parmar, Zhang and Zhu (2022), On Aliased Resizing and Surprising Subtleties in GAN Evaluation,
arXiv:2104.11222: filters that do not widen with the scale, and rounding to 8 bits between resizing
and the network, change the Frechet distance by more than the difference between many models.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from harness.contract import DataSpec


def unsupported_channels(spec: DataSpec) -> str | None:
    """Return why ``spec`` is neither grey nor RGB, or None if it is."""
    if len(spec.shape) == 3 and spec.shape[0] in (1, 3):
        return None
    return f"networks for photographs measure grey or RGB images (C, H, W), not {spec.shape}"


def to_rgb(images: Tensor, levels: int) -> Tensor:
    """Map integers (B, C, H, W) in [0, levels) to float32 RGB (B, 3, H, W) in [0, 255].

    Grey images get three equal channels.
    """
    x = images.float() * (255 / (levels - 1))
    return x.expand(-1, 3, -1, -1)


def resize(x: Tensor, size: int) -> Tensor:
    """Resize floats (B, C, H, W) in [0, 255] to (B, C, size, size): bicubic, antialiased, clamped.

    It is the "clean" resizing of clean-fid, which goes through PIL image by image: a = -1/2, the
    filter as wide as the scale when images shrink, no rounding.
    """
    # Channels that share their memory, those of a grey image, are resized once.
    planes = x[:, :1] if x.stride(1) == 0 else x
    resized = F.interpolate(
        planes, (size, size), mode="bicubic", align_corners=False, antialias=True
    )
    return resized.clamp_(0, 255).expand(-1, x.shape[1], -1, -1)


def normalise(x: Tensor, mean: tuple[float, ...], deviation: tuple[float, ...]) -> Tensor:
    """Map [0, 255] to (x / 255 - mean) / deviation, by channel."""
    shape = (1, -1, 1, 1)
    centre, scale = (torch.tensor(v, device=x.device).view(shape) for v in (mean, deviation))
    return (x / 255 - centre) / scale
