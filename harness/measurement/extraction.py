"""Features of many images, read and computed a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.features.base import FeatureExtractor, Features


class ImageStream(Protocol):
    """Images that are read one batch at a time, any number of times."""

    def __len__(self) -> int:
        """Return how many images there are."""

    def batches(self, size: int) -> Iterator[Sequence[Tensor]]:
        """Yield up to ``size`` images at a time, in order, each uint8 (C, H, W)."""


Images = NDArray[np.uint8] | Tensor | ImageStream
"""Images (N, C, H, W), in memory or in files."""


def extract(
    extractor: FeatureExtractor,
    images: Images,
    batch_size: int | None = None,
    device: torch.device | None = None,
) -> Iterator[Features]:
    """Yield the features of consecutive batches, computed in eval mode without gradients.

    Args:
        extractor: moved to ``device``.
        images: uint8 (N, C, H, W), values in [0, levels); of a stream for an extractor that
            resizes, C, H and W may differ from image to image.
        batch_size: images at a time, the extractor's by default; the last batch may be smaller.
        device: where features are computed and stay; the CPU by default.

    Raises:
        ValueError: if the images are not those that the extractor was built for.
    """
    target = device or torch.device("cpu")
    extractor.eval().to(target)
    for batch in batches(images, batch_size or extractor.batch_size):
        groups = _by_shape(batch)
        for group in groups.values():
            _check(group.images, extractor)
        with torch.inference_mode():
            features = [_own(extractor(group.images.to(target))) for group in groups.values()]
        yield _in_order(features, [group.places for group in groups.values()])


def batches(images: Images, size: int) -> Iterator[Sequence[Tensor]]:
    """Yield up to ``size`` images at a time, in order, each uint8 (C, H, W)."""
    if isinstance(images, np.ndarray | Tensor):
        yield from torch.split(torch.as_tensor(images), size)  # type: ignore[misc]
    else:
        yield from images.batches(size)


class _Group(NamedTuple):
    """Images of one shape, (n, C, H, W), and their positions in the batch."""

    images: Tensor
    places: list[int]


def _by_shape(batch: Sequence[Tensor]) -> dict[tuple[int, ...], _Group]:
    if isinstance(batch, Tensor):
        return {tuple(batch.shape): _Group(batch, list(range(len(batch))))}
    places: dict[tuple[int, ...], list[int]] = {}
    for place, image in enumerate(batch):
        places.setdefault(tuple(image.shape), []).append(place)
    return {
        shape: _Group(torch.stack([batch[place] for place in own]), own)
        for shape, own in places.items()
    }


def _in_order(parts: Sequence[Features], places: Sequence[list[int]]) -> Features:
    """Join the features of groups, each image's at its place."""
    if len(parts) == 1:
        return parts[0]
    order = torch.tensor([place for own in places for place in own]).argsort()
    joined = join_features(parts)
    logits = joined.logits
    return Features(joined.vectors[order], None if logits is None else logits[order])


def join_features(parts: Sequence[Features]) -> Features:
    """Join features of batches: vectors, and logits where there are any."""
    vectors, logits = zip(*parts, strict=True)
    return Features(torch.cat(vectors), None if logits[0] is None else torch.cat(logits))


def _own(features: Features) -> Features:
    """Return a copy of features: an extractor may reuse the same memory for every batch."""
    vectors, logits = features
    return Features(vectors.clone(), None if logits is None else logits.clone())


def _check(images: Tensor, extractor: FeatureExtractor) -> None:
    """Raise ``ValueError`` unless images are uint8 (N, C, H, W) within the spec's levels."""
    spec = extractor.spec
    if images.dtype != torch.uint8:
        raise ValueError(f"images are {images.dtype}; features are taken of uint8 integers")
    if not extractor.resizes and images.shape[1:] != spec.shape:
        expected = ", ".join(map(str, spec.shape))
        raise ValueError(f"images have shape {tuple(images.shape)}, not (N, {expected})")
    if len(images) and (largest := int(images.max())) >= spec.levels:
        raise ValueError(f"images hold the value {largest}, but only {spec.levels} levels exist")
