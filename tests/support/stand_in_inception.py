"""A small network with the interface of the published Inception, which is 96 MB elsewhere."""

import hashlib
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from harness.features.published_weights import PublishedWeights


class StandIn(nn.Module):
    """``layers`` on 299 pixels, ``output`` of 1,008 classes, and its own resizing before them."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 16, 5, 5), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Conv2d(16, 2048, 4)
        )
        self.output = nn.Linear(2048, 1008)

    def forward(self, x: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        x = F.interpolate(x, [299, 299], mode="bilinear", align_corners=False)
        features = self.layers((x - 128) / 128).flatten(1)
        if return_features:
            return features
        return self.output(features).softmax(1)


def publish(folder: Path) -> PublishedWeights:
    """Write it to a folder as a published file, and return that."""
    torch.manual_seed(0)
    path = folder / "inception-2015-12-05.pt"
    torch.jit.script(StandIn().eval()).save(str(path))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return PublishedWeights(path.name, path.as_uri(), digest)
