"""Vision transformers trained on far more than ImageNet's classes: DINOv2 and CLIP, through timm.

Dosovitskiy et al. (2021), An Image is Worth 16x16 Words, arXiv:2010.11929. These features correlate
better with human judgement than Inception's (Stein et al., 2023, arXiv:2306.04675).
"""

from __future__ import annotations

import hashlib
import math
from abc import abstractmethod
from importlib.util import find_spec
from typing import Any, ClassVar, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from harness.contract import DataSpec
from harness.errors import UserError
from harness.features.base import FeatureExtractor, Features
from harness.features.published_weights import PublishedWeights, load_script
from harness.features.resizing import normalise, resize, to_rgb, unsupported_channels
from harness.machine.precision import full_precision

Channels = tuple[float, float, float]


class VisionTransformer(FeatureExtractor):
    """The class token of a frozen vision transformer, on images resized with antialiasing.

    Attributes:
        architecture: what timm calls the network.
        options: of timm's constructor.
        size: height and width of what the network sees.
        mean, deviation: of its input, by channel, for images in [0, 1].
        weights: the published file.

    Raises:
        ValueError: on images of neither one nor three channels.
        UserError: if timm is not installed, or the weights are not to be had.
    """

    resizes = True
    batch_size = 50
    architecture: ClassVar[str]
    options: ClassVar[dict[str, Any]]
    size: ClassVar[int]
    mean: ClassVar[Channels]
    deviation: ClassVar[Channels]
    weights: ClassVar[PublishedWeights]

    def __init__(self, spec: DataSpec) -> None:
        super().__init__(spec)
        if reason := self.supports(spec):
            raise ValueError(reason)
        if reason := self.unusable():
            raise UserError(reason)
        import timm

        self.network: Any = timm.create_model(self.architecture, **self.options)
        self.network.load_state_dict(self.read())
        self.eval().requires_grad_(False)
        identity = (
            f"{self.architecture}; bicubic to {self.size}, antialiased; {self.mean}, "
            f"{self.deviation}; levels {spec.levels}; weights {self.weights.sha256}"
        )
        self.digest = hashlib.sha256(identity.encode()).hexdigest()

    @classmethod
    def supports(cls, spec: DataSpec) -> str | None:
        """Return why images of ``spec`` cannot be measured, or None if they can."""
        return unsupported_channels(spec)

    @classmethod
    def unusable(cls) -> str | None:
        """Return why it cannot be built on this machine, or None if it can."""
        if find_spec("timm"):
            return None
        return "it needs timm, which is not installed; run: pip install 'genharness[timm]'"

    @abstractmethod
    def read(self) -> dict[str, Tensor]:
        """Return the state of timm's network from the published file."""

    def train(self, mode: bool = True) -> Self:
        """Stay in eval mode: the network is frozen."""
        return super().train(False)

    def forward(self, images: Tensor) -> Features:
        """Extract features (B, d) of uint8 images (B, C, H, W)."""
        with full_precision(images.device):
            x = resize(to_rgb(images, self.spec.levels), self.size)
            vectors: Tensor = self.network(normalise(x, self.mean, self.deviation))
        return Features(vectors, None)


class DINOv2(VisionTransformer):
    """DINOv2 ViT-L/14 (Oquab et al., 2023, arXiv:2304.07193), d = 1024, at 224 pixels.

    Position embeddings, published for 37x37 patches, are interpolated to 16x16 as the authors' code
    does: bicubic, without antialiasing, at a scale of (16 + 0.1) / 37.
    """

    dimensions = 1024
    architecture = "vit_large_patch14_dinov2"
    size = 224
    options: ClassVar[dict[str, Any]] = {"img_size": size, "num_classes": 0}
    mean = (0.485, 0.456, 0.406)
    deviation = (0.229, 0.224, 0.225)
    weights = PublishedWeights(
        name="dinov2_vitl14_pretrain.pth",
        address="https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/dinov2_vitl14_pretrain.pth",
        sha256="d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428",
    )

    def read(self) -> dict[str, Tensor]:
        """Return the state of timm's network from the authors' file, which holds tensors alone."""
        state: dict[str, Tensor] = torch.load(
            self.weights.fetch(), map_location="cpu", weights_only=True
        )
        del state["mask_token"]  # it stands for patches that are hidden in training
        grid = self.network.patch_embed.grid_size[0]
        state["pos_embed"] = interpolate_positions(state["pos_embed"], grid)
        return state


class CLIP(VisionTransformer):
    """CLIP ViT-L/14 at 336 pixels (Radford et al., 2021, arXiv:2103.00020), d = 768, unit length.

    With a Gaussian kernel of bandwidth 10 the squared MMD of these features is CMMD (Jayasumana et
    al., 2024, arXiv:2401.09603), which is printed times 1000 in that paper.
    """

    dimensions = 768
    bandwidth = 10.0
    architecture = "vit_large_patch14_clip_quickgelu_336"
    size = 336
    options: ClassVar[dict[str, Any]] = {"num_classes": dimensions}
    mean = (0.48145466, 0.4578275, 0.40821073)
    deviation = (0.26862954, 0.26130258, 0.27577711)
    weights = PublishedWeights(
        name="ViT-L-14-336px.pt",
        address=(
            "https://openaipublic.azureedge.net/clip/models/"
            "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02/ViT-L-14-336px.pt"
        ),
        sha256="3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02",
    )

    def read(self) -> dict[str, Tensor]:
        """Return the state of timm's network from the authors' TorchScript file."""
        from timm.models.vision_transformer import checkpoint_filter_fn

        state = {name: x.float() for name, x in load_script(self.weights).state_dict().items()}
        converted: dict[str, Tensor] = checkpoint_filter_fn(state, self.network)
        return converted

    def forward(self, images: Tensor) -> Features:
        """Extract features (B, 768) of uint8 images (B, C, H, W)."""
        return Features(F.normalize(super().forward(images).vectors, dim=1), None)


def interpolate_positions(embeddings: Tensor, grid: int) -> Tensor:
    """Map position embeddings of a class token and of n^2 patches, (1, 1 + n^2, d), to grid^2."""
    n = math.isqrt(embeddings.shape[1] - 1)
    if n == grid:
        return embeddings
    token, patches = embeddings[:, :1], embeddings[:, 1:]
    planes = patches.reshape(1, n, n, -1).permute(0, 3, 1, 2)
    scale = (grid + 0.1) / n  # the 0.1 kept the authors' code from rounding to one patch too few
    resized = F.interpolate(planes, scale_factor=(scale, scale), mode="bicubic")
    return torch.cat([token, resized.flatten(2).transpose(1, 2)], dim=1)
