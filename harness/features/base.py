"""The base of feature extractors: frozen maps from integer images to vectors and class logits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

from torch import Tensor, nn

from harness.contract import DataSpec, listed


class Features(NamedTuple):
    """Features of a batch: vectors (B, d), and logits (B, K) where the extractor has classes."""

    vectors: Tensor
    logits: Tensor | None


class FeatureExtractor(nn.Module, ABC):
    """A frozen network whose features the metrics compare; built for one ``DataSpec``.

    Attributes:
        reads: kinds of x that it measures.
        digest: SHA-256 of weights and preprocessing; values measured with other digests are never
            compared.
        dimensions: d, the length of a feature vector.
        classes: K, or 0 without logits.
        bandwidth: of Gaussian kernels in these features, if there is a conventional one.
        resizes: whether each image is resized and converted to RGB separately, so that size and
            channels may differ between images; otherwise all have the shape of ``spec``.
        batch_size: images at a time that fit into memory.
    """

    reads: ClassVar[frozenset[str]] = frozenset({"image"})
    digest: str
    dimensions: int
    classes: int = 0
    bandwidth: float | None = None
    resizes: ClassVar[bool] = False
    batch_size: ClassVar[int] = 256

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.spec = spec

    @classmethod
    def supports(cls, spec: DataSpec) -> str | None:
        """Return why data of ``spec`` cannot be measured, or None if it can.

        A subclass speaks of shapes and levels alone: the kind is compared with ``reads`` before it
        is asked.
        """
        return None

    @classmethod
    def refuses(cls, spec: DataSpec) -> str | None:
        """Return why data of ``spec`` is not measured: by kind, or by ``supports``."""
        if spec.x.kind not in cls.reads:
            return f"it reads {listed(cls.reads)}, and the data is {spec.x.kind}"
        return cls.supports(spec)

    @classmethod
    def unusable(cls) -> str | None:
        """Return why it cannot be built on this machine, or None if it can.

        If a command would help, the message ends with it: "...; run: pip install timm".
        """
        return None

    @abstractmethod
    def forward(self, images: Tensor) -> Features:
        """Extract features of uint8 x (B, *x.shape)."""
