"""Real images that samples are compared with: a data set, files, or only moments."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.contract import DataSpec
from harness.errors import UserError, did_you_mean
from harness.features.base import FeatureExtractor
from harness.files.image_sets import ImageSet, Statistics, open_source
from harness.files.images import ImageError, exists, user_path
from harness.measurement.extraction import Images
from harness.measurement.references import HEADLINE, HELD_OUT, ImageReference, split_content
from harness.metrics.base import Moments, Reference
from harness.plugins.loading import load_dataset
from harness.plugins.registry import Registry, split_argument


@dataclass(frozen=True)
class Real:
    """Real images to compare with.

    Attributes:
        name: of the data set, or the path.
        spec: of the first one.
        images: all of them.
        content: their fingerprint.
    """

    name: str
    spec: DataSpec
    images: Images
    content: str

    def of_one_shape(self) -> Real:
        """Return these images; one of another shape than the first is an error."""
        if isinstance(self.images, LevelCheckedImages):
            return replace(self, images=self.images.of_one_shape())
        return self

    def reference(
        self,
        split: str,
        extractor: FeatureExtractor,
        device: torch.device,
        held_out: Reference | None,
    ) -> Reference:
        """Return the reference."""
        return ImageReference(split, self.images, self.content, extractor, device, held_out)


@dataclass(frozen=True)
class RealMoments:
    """Precomputed moments of real images' features.

    Attributes:
        name: the path.
        statistics: its content.
    """

    name: str
    statistics: Statistics

    def of_one_shape(self) -> RealMoments:
        """Return them unchanged: there are no images."""
        return self

    def reference(
        self,
        split: str,
        extractor: FeatureExtractor,
        device: torch.device,
        held_out: Reference | None,
    ) -> Reference:
        """Return the reference.

        Raises:
            UserError: the moments are of features of another length.
        """
        mean, covariance = self.statistics.mean, self.statistics.covariance
        if len(mean) != extractor.dimensions:
            raise UserError(
                f"{self.name} has moments of {len(mean)} features, but {type(extractor).__name__} "
                f"has {extractor.dimensions}; --features names those that they were computed in"
            )
        return _KnownMoments(split, self.name, mean, covariance, held_out, extractor.bandwidth)


class _KnownMoments(Reference):
    """Moments of an unknown number of images."""

    def __init__(
        self,
        split: str,
        name: str,
        mean: NDArray[np.float64],
        covariance: NDArray[np.float64],
        held_out: Reference | None,
        bandwidth: float | None,
    ) -> None:
        own = Moments(sys.maxsize, torch.from_numpy(mean), torch.from_numpy(covariance))
        super().__init__(split, own, held_out=held_out, bandwidth=bandwidth)
        self._name = name

    @property
    def description(self) -> str:
        """Description for display."""
        return f"the moments in {self._name}, of an unknown number of images"


Source = Real | RealMoments


class LevelCheckedImages:
    """Images of a file; records their largest value as they are read.

    Args:
        images: to be read.
        levels: upper bound of the values, exclusive.
        other: name of what has those levels.

    Attributes:
        largest: value so far.
    """

    def __init__(self, images: ImageSet, levels: int, other: str) -> None:
        self.images = images
        self.levels = levels
        self.other = other
        self.largest = 0

    def __len__(self) -> int:
        """Return how many images there are."""
        return len(self.images)

    def of_one_shape(self) -> LevelCheckedImages:
        """Return these images; one of another shape than the first is an error."""
        return LevelCheckedImages(self.images.of_one_shape(), self.levels, self.other)

    def batches(self, size: int) -> Iterator[Sequence[Tensor]]:
        """Yield up to ``size`` images at a time, in order, each uint8 (C, H, W).

        Raises:
            ImageError: names the file that is damaged, or the value that is too large.
        """
        for batch in self.images.batches(size):
            self.largest = max(self.largest, largest_value(batch))
            if self.largest >= self.levels:
                raise ImageError(
                    f"{self.images.source} has the value {self.largest}, {self.other} has "
                    f"{self.levels} levels, 0 to {self.levels - 1}; save integers in the same "
                    "range in an .npz file"
                )
            yield batch


def largest_value(batch: Sequence[Tensor]) -> int:
    """Return the largest value of some images."""
    return max(int(image.max()) for image in ([batch] if isinstance(batch, Tensor) else batch))


def real_images(
    reference: str, train_reference: str | None, registry: Registry
) -> dict[str, Source]:
    """Return the real images: the headline as "train", held-out ones, if any, as "test"."""
    if train_reference is None:
        return _load(reference, registry)
    held_out = _load(reference, registry)
    train = _load(train_reference, registry)[HEADLINE]
    return {HEADLINE: train, HELD_OUT: held_out.get(HELD_OUT, held_out[HEADLINE])}


def _load(reference: str, registry: Registry) -> dict[str, Source]:
    """Load a data set, or a path as a data set that has only a train split."""
    if split_argument(reference)[0] in registry.datasets:
        data = load_dataset(registry, reference)
        return {
            split: Real(data.name, data.spec, data.splits[split].x, split_content(data, split))
            for split in (HEADLINE, HELD_OUT)
            if len(data.splits[split])
        }
    if not exists(reference, user_path(reference, reference), lambda mode: True):
        raise UserError(
            f"no data set, folder or file is called {reference!r}"
            f"{did_you_mean(reference, registry.datasets)}; "
            f"data sets are: {', '.join(sorted(registry.datasets))}"
        )
    found = open_source(reference)
    if isinstance(found, Statistics):
        return {HEADLINE: RealMoments(reference, found)}
    spec = spec_of(found)
    images = LevelCheckedImages(found, spec.levels, "its array levels")
    return {HEADLINE: Real(reference, spec, images, f"{found.fingerprint} {spec.levels}")}


def references(
    real: dict[str, Source], extractor: FeatureExtractor, device: torch.device
) -> dict[str, Reference]:
    """Return the references, in the features of an extractor."""
    references: dict[str, Reference] = {}
    if HELD_OUT in real:
        references[HELD_OUT] = real[HELD_OUT].reference(HELD_OUT, extractor, device, None)
    references[HEADLINE] = real[HEADLINE].reference(
        HEADLINE, extractor, device, references.get(HELD_OUT)
    )
    return references


def spec_of(images: ImageSet) -> DataSpec:
    """Return the spec of the images of a file."""
    return DataSpec.images(images.shape, levels=images.levels or 256)
