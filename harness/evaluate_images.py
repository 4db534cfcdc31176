"""The metrics on anybody's images: samples of any model, in files, against real ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from harness.contract import DataSpec
from harness.dataset import Dataset, Split
from harness.errors import UserError, did_you_mean
from harness.evaluation import Metrics, SampleScorer
from harness.features.base import FeatureExtractor
from harness.image_files import (
    ImageError,
    channels_first,
    described,
    image_paths,
    read_array,
    read_array_file,
    read_images,
    user_path,
)
from harness.registry import Registry, split_argument
from harness.trial import load_dataset, load_extractor

ARRAYS = (".npz", ".npy")
LOSSY = (".jpg", ".jpeg")
PIXELS = "pixels"


@dataclass(frozen=True)
class ImageSet:
    """Images of one folder or file.

    Attributes:
        source: its path, as it was given.
        images: uint8 (N, C, H, W).
        levels: as the file says; None if it does not.
        jpegs: how many of them were decoded from JPEG.
    """

    source: str
    images: NDArray[np.uint8]
    levels: int | None = None
    jpegs: int = 0


@dataclass(frozen=True)
class Evaluated:
    """What is known of a set of samples.

    Attributes:
        samples: where they are.
        n: how many.
        reference: name of the real images.
        features: name of the extractor.
        metrics: by name; those against held-out real images end in "_test".
        warnings: what may make the figures mean less than they seem to.
        scorer: what scored them.
        images: that were scored.
    """

    samples: str
    n: int
    reference: str
    features: str
    metrics: Metrics
    warnings: tuple[str, ...]
    scorer: SampleScorer
    images: torch.Tensor


def evaluate_images(
    samples: str,
    reference: str,
    registry: Registry,
    *,
    features: str | None = None,
    metrics: Sequence[str] | None = None,
    train_reference: str | None = None,
    device: torch.device | None = None,
) -> Evaluated:
    """Score the images of a folder, .npz or .npy file against real images.

    Args:
        samples: path of a folder of images, an .npz or an .npy file.
        reference: what they are compared with: a data set, by its train split and by its test
            split, as a model's samples are; or a path, by all of its images.
        registry: where data sets, features and metrics are.
        features: name of the extractor; by default that of the data set, otherwise "pixels".
        metrics: names; all that are installed by default.
        train_reference: what the model was trained on, a data set or a path. The comparison is then
            with these images, and with ``reference`` as images that the model has not seen.
        device: where features are computed; the CPU by default.

    Raises:
        UserError: something cannot be read, or sizes, channels or levels differ.
    """
    found = read_image_set(samples)
    dataset = _real_images(reference, train_reference, registry)
    _check(found, dataset)
    name = features or _customary(registry, reference, train_reference)
    chosen = metrics or tuple(registry.metrics)
    classes = {metric: registry.load(registry.metric(metric).info) for metric in chosen}
    extractor = _extractor(registry, name, dataset)
    scorer = SampleScorer(dataset, extractor, classes, device or torch.device("cpu"))
    images = torch.from_numpy(found.images)
    return Evaluated(
        samples=samples,
        n=len(images),
        reference=dataset.name,
        features=name,
        metrics=scorer.score([images]),
        warnings=tuple(_warnings(found, dataset, extractor)),
        scorer=scorer,
        images=images,
    )


def read_image_set(source: str) -> ImageSet:
    """Read all images of a folder and its subfolders, or of an .npz or .npy file.

    An .npz file holds them in ``images``, or in its only array; ``levels`` may stand beside it.

    Raises:
        UserError: naming what cannot be read.
    """
    if not source.strip():  # which would be the folder that one is in
        raise ImageError("'' is no path; name a folder, an .npz or an .npy file")
    path = user_path(source, source)
    if path.is_dir():
        paths = image_paths(source, path)
        jpegs = sum(file.suffix.lower() in LOSSY for file in paths)
        return ImageSet(source, read_images(source, paths), levels=256, jpegs=jpegs)
    if not path.is_file():
        raise ImageError(
            f"{source}: there is no such folder or file; name a folder, an .npz or an .npy file"
        )
    if path.suffix == ".npz":
        return _read_npz(source, path)
    if path.suffix == ".npy":
        return ImageSet(source, _sound(source, "the array", read_array(source, path)))
    raise ImageError(f"{source}: images are read from a folder, an .npz or an .npy file")


def _read_npz(source: str, path: Path) -> ImageSet:
    arrays = read_array_file(source, path)
    levels = arrays.pop("levels", None)
    whole = levels is None or (levels.shape == () and np.issubdtype(levels.dtype, np.integer))
    if levels is not None and not (whole and 2 <= levels <= 256):
        raise ImageError(f"{source}: levels is {levels}; needs one integer from 2 to 256")
    pictures = {key: array for key, array in arrays.items() if array.ndim > 1}
    key = "images" if "images" in pictures else next(iter(pictures), "")
    if "images" not in pictures and len(pictures) != 1:
        raise ImageError(
            f"{source}: holds {', '.join(arrays) or 'nothing'}; needs an array called images, or "
            "one array alone"
        )
    images = _sound(source, key, pictures[key])
    return ImageSet(source, images, None if levels is None else int(levels))


def _sound(source: str, key: str, array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    images = channels_first(source, key, array)
    if not len(images):
        raise ImageError(f"{source}: holds no images; needs at least one")
    return images


def _real_images(reference: str, train_reference: str | None, registry: Registry) -> Dataset:
    """Return the real images as a data set: headline in train, held-out in test or nowhere."""
    held_out = _load(reference, registry)
    if train_reference is None:
        return held_out
    train = _load(train_reference, registry)
    if (train.spec.shape, train.spec.levels) != (held_out.spec.shape, held_out.spec.levels):
        raise UserError(
            f"{train_reference} holds images {_kind(train.spec)}, {reference} "
            f"{_kind(held_out.spec)}; real images are all of one kind"
        )
    test = held_out.test if len(held_out.test) else held_out.train
    name = f"{train.name} (train) and {held_out.name} (test)"
    return Dataset(name, train.spec, train.train, train.validation, test)


def _load(reference: str, registry: Registry) -> Dataset:
    """Load a data set, or a path as a data set that has a train split alone."""
    if split_argument(reference)[0] in registry.datasets:
        return load_dataset(registry, reference)
    path = user_path(reference, reference)
    if not path.exists():
        raise UserError(
            f"no data set, folder or file is called {reference!r}"
            f"{did_you_mean(reference, registry.datasets)}; "
            f"data sets are: {', '.join(sorted(registry.datasets))}"
        )
    found = read_image_set(reference)
    spec = DataSpec(tuple(found.images.shape[1:]), levels=found.levels or 256)
    nothing = Split(found.images[:0])
    return Dataset(reference, spec, Split(found.images), nothing, nothing)


def _check(samples: ImageSet, dataset: Dataset) -> None:
    """Raise ``UserError`` unless samples are images such as the real ones."""
    spec = dataset.spec
    if samples.images.shape[1:] != spec.shape:
        hint = "resize them"
        if samples.images.shape[2:] == spec.shape[1:]:
            hint = "save them grey" if spec.shape[0] == 1 else "save them RGB"
        raise UserError(
            f"{samples.source} holds images {described(samples.images.shape[1:])}, "
            f"{dataset.name} {described(spec.shape)}; {hint}, the same way for all models"
        )
    largest = int(samples.images.max())
    declared = samples.levels if samples.levels != 256 else None
    if largest >= spec.levels or declared not in (None, spec.levels):
        has = f"{declared} levels" if declared else f"the value {largest}"
        raise UserError(
            f"{samples.source} has {has}, {dataset.name} has {spec.levels} levels, 0 to "
            f"{spec.levels - 1}; save integers in the same range in an .npz file"
        )


def _kind(spec: DataSpec) -> str:
    return f"{described(spec.shape)} with {spec.levels} levels"


def _customary(registry: Registry, *references: str | None) -> str:
    """Return the features that the first data set by name is measured in, or pixels."""
    for name in references:
        if name and split_argument(name)[0] in registry.datasets:
            return registry.dataset(name).info.features
    return PIXELS


def _extractor(registry: Registry, name: str, dataset: Dataset) -> FeatureExtractor:
    try:
        return load_extractor(registry, name, dataset)
    except ValueError as error:
        raise UserError(f"features {name!r}: {error}") from error


def _warnings(samples: ImageSet, dataset: Dataset, extractor: FeatureExtractor) -> list[str]:
    n, d = len(samples.images), extractor.dimensions
    warnings = []
    if samples.jpegs:
        warnings.append(
            f"{samples.jpegs} of {n} files are JPEG: what its compression loses moves every metric "
            "(Parmar et al., 2022); save samples as PNG"
        )
    if n <= d:
        warnings.append(
            f"{n} images are no more than the {d} features: their covariance is singular, and the "
            "Frechet distance biased by it"
        )
    smaller = min(n, len(dataset.train))
    if smaller < n or smaller < len(dataset.train):
        warnings.append(
            f"{n} samples against {len(dataset.train)} real images: compare the Frechet distance "
            "only with values at the same numbers"
        )
    used, real = int(samples.images.max()), int(dataset.train.images.max())
    if 2 * used < real:
        warnings.append(
            f"the largest value of the samples is {used}, of the real images {real}: "
            "are they scaled alike?"
        )
    return warnings
