"""Every image there is, where there are few."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from harness.contract import DataSpec


def all_images(spec: DataSpec) -> Tensor:
    """Return the levels^D images of ``spec``, uint8 (levels^D, C, H, W)."""
    values = itertools.product(range(spec.levels), repeat=spec.dimensions)
    return torch.tensor(list(values), dtype=torch.uint8).reshape(-1, *spec.shape)
