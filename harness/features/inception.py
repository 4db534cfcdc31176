"""Inception v3 as the published Frechet Inception Distances have it.

Heusel et al. (2017), GANs Trained by a Two Time-Scale Update Rule, arXiv:1706.08500; the network of
2015 (Szegedy et al., arXiv:1512.00567) translated from TensorFlow to TorchScript, the file that
clean-fid and StyleGAN use.
"""

from __future__ import annotations

import hashlib
from typing import ClassVar, Self

from torch import Tensor
from torch.nn import functional as F

from harness.contract import DataSpec
from harness.features.base import FeatureExtractor, Features
from harness.features.published_weights import PublishedWeights, load_script
from harness.features.resizing import resize, to_rgb, unsupported_channels
from harness.machine.precision import full_precision

SIZE = 299
WEIGHTS = PublishedWeights(
    name="inception-2015-12-05.pt",
    address=(
        "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/"
        "inception-2015-12-05.pt"
    ),
    sha256="f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4",
)


class Inception(FeatureExtractor):
    """The last pooling of Inception v3 (d = 2048) on images resized as clean-fid's "clean" mode.

    Logits are of the 1,008 outputs without their bias, as the Inception Score of Salimans et al.
    (2016) was computed.

    Attributes:
        clean_fid: what clean-fid calls the mode, where it has this network in it.

    Raises:
        ValueError: on images of neither one nor three channels.
        WeightsError: if the file is missing and cannot be downloaded.
    """

    dimensions = 2048
    classes = 1008
    resizes = True
    batch_size = 50
    preprocessing: ClassVar[str] = "RGB in [0, 255]; bicubic to 299, antialiased; float32"
    weights: ClassVar[PublishedWeights] = WEIGHTS
    clean_fid: ClassVar[str | None] = "clean"

    def __init__(self, spec: DataSpec) -> None:
        super().__init__(spec)
        if reason := self.supports(spec):
            raise ValueError(reason)
        self.network = load_script(self.weights)
        self.eval().requires_grad_(False)
        identity = f"{self.preprocessing}; levels {spec.levels}; weights {self.weights.sha256}"
        self.digest = hashlib.sha256(identity.encode()).hexdigest()

    @classmethod
    def supports(cls, spec: DataSpec) -> str | None:
        """Return why images of ``spec`` cannot be measured, or None if they can."""
        return unsupported_channels(spec)

    def train(self, mode: bool = True) -> Self:
        """Stay in eval mode: the network is frozen."""
        return super().train(False)

    def forward(self, images: Tensor) -> Features:
        """Extract features (B, 2048) and logits (B, 1008) of uint8 images (B, C, H, W)."""
        with full_precision(images.device):
            vectors = self.vectors(to_rgb(images, self.spec.levels))
            return Features(vectors, F.linear(vectors, self.network.output.weight))

    def vectors(self, x: Tensor) -> Tensor:
        """Extract features (B, 2048) of RGB images in [0, 255]."""
        features: Tensor = self.network.layers((resize(x, SIZE) - 128) / 128)
        return features.flatten(1)


class InceptionLegacyTensorFlow(Inception):
    """The same network on images resized inside it, bilinear without antialiasing.

    It is clean-fid's mode "legacy_tensorflow", and what most figures before 2021 were measured
    with; kept for comparison with them.
    """

    preprocessing = "RGB in [0, 255]; resized by the network, bilinear, aliased; float32"
    clean_fid = "legacy_tensorflow"

    def vectors(self, x: Tensor) -> Tensor:
        """Extract features (B, 2048) of RGB images in [0, 255]."""
        features: Tensor = self.network(x, return_features=True)
        return features.flatten(1)


class InceptionLegacyPyTorch(Inception):
    """The same network on images resized before it, bilinear without antialiasing.

    It is the resizing and scaling of clean-fid's mode "legacy_pytorch", and of pytorch-fid. Those
    run a port of this network to PyTorch's layers, with the same weights in another file.
    """

    preprocessing = "RGB in [0, 255]; bilinear to 299, aliased; 2 x / 255 - 1; float32"
    clean_fid = None

    def vectors(self, x: Tensor) -> Tensor:
        """Extract features (B, 2048) of RGB images in [0, 255]."""
        resized = F.interpolate(x, (SIZE, SIZE), mode="bilinear", align_corners=False)
        features: Tensor = self.network.layers(resized / 127.5 - 1)
        return features.flatten(1)
