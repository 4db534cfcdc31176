"""The metrics on image files: samples of any model against real images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch

from harness.contract import DataSpec
from harness.errors import UserError
from harness.evaluate.real import (
    LevelCheckedImages,
    Real,
    Source,
    largest_value,
    real_images,
    references,
    spec_of,
)
from harness.features.base import FeatureExtractor
from harness.files.image_sets import ImageSet, open_images
from harness.files.images import describe_shape
from harness.measurement.extraction import Images, batches
from harness.measurement.figures import Metrics
from harness.measurement.references import HEADLINE, HELD_OUT
from harness.measurement.scorer import SampleScorer
from harness.metrics.inception_score import InceptionScore
from harness.plugins.registry import Registry, split_argument
from harness.row import Measurement

PIXELS = "pixels"
REAL = "real"


@dataclass(frozen=True)
class ScoredSamples:
    """Scores of a set of samples.

    Attributes:
        samples: where they are.
        n: how many.
        reference: name of the real images.
        features: name of the extractor.
        metrics: by name; those against held-out real images end in "_test", and "is_real" is the
            Inception Score of the real images.
        warnings: reasons to interpret the figures with care.
        scorer: what scored them.
        images: the samples.
        real: the real images; None where only moments are known.
    """

    samples: str
    n: int
    reference: str
    features: str
    metrics: Metrics
    warnings: tuple[str, ...]
    scorer: SampleScorer
    images: Images
    real: Images | None


def evaluate_images(
    samples: str,
    reference: str,
    registry: Registry,
    *,
    features: str | None = None,
    metrics: Sequence[str] | None = None,
    train_reference: str | None = None,
    device: torch.device | None = None,
) -> ScoredSamples:
    """Score the images of a folder, .npz or .npy file against real images.

    Images are read a batch at a time; none are kept.

    Args:
        samples: path of a folder of images, an .npz or an .npy file.
        reference: the real images: a data set, by its train split and by its test
            split, as a model's samples are; or a path, by all of its images or by the moments
            ``mu`` and ``sigma`` of their features.
        registry: of data sets, features and metrics.
        features: name of the extractor; by default that of the data set, otherwise "pixels".
        metrics: names; all that are installed by default.
        train_reference: images that the model was trained on, a data set or a path. Samples are
            then compared with these, and ``reference`` holds unseen images.
        device: on which features are computed; the CPU by default.

    Raises:
        UserError: something cannot be read, or levels differ; or size or channels do, in features
            that do not resize.
    """
    found = open_images(samples)
    real = real_images(reference, train_reference, registry)
    name = features or _default_features(registry, reference, train_reference)
    chosen = metrics or _of_samples(registry)
    for metric in chosen:
        if conditions := registry.metric(metric).info.conditions:
            raise UserError(
                f"metric {metric!r} needs the {' or '.join(conditions)} that each sample was drawn "
                f"from, and files of images have none; others: {', '.join(_of_samples(registry))}"
            )
    classes = {metric: registry.load(registry.metric(metric).info) for metric in chosen}
    spec = next((part.spec for part in real.values() if isinstance(part, Real)), spec_of(found))
    extractor = _extractor(registry, name, spec)
    _check(found, real, extractor)
    if not extractor.resizes:
        found = found.of_one_shape()
        real = {split: part.of_one_shape() for split, part in real.items()}
    headline = real[HEADLINE]
    images = LevelCheckedImages(found, spec.levels, headline.name)
    target = device or torch.device("cpu")
    scorer = SampleScorer(references(real, extractor, target), extractor, classes, target)
    return ScoredSamples(
        samples=samples,
        n=len(found),
        reference=_named(real),
        features=name,
        metrics=_scored(scorer, images),
        warnings=(*_warnings(images, headline, extractor), *_remarks(images, real.values())),
        scorer=scorer,
        images=images,
        real=headline.images if isinstance(headline, Real) else None,
    )


def _of_samples(registry: Registry) -> tuple[str, ...]:
    """Return the names of the metrics that need no conditions, which files of images lack."""
    return tuple(n for n, entry in registry.metrics.items() if not entry.info.conditions)


def _scored(scorer: SampleScorer, images: LevelCheckedImages) -> Metrics:
    """Return the figures of the samples, and the real images' Inception Score beside theirs."""
    measured: Metrics = {}
    for name, found in scorer.score([images]).items():
        measured[name] = found
        metric = scorer.metrics.get(name)
        if metric and issubclass(metric, InceptionScore) and scorer.extractor.classes:
            measured[f"{name}_{REAL}"] = _score_of_real(scorer)
    return measured


def _score_of_real(scorer: SampleScorer) -> Measurement:
    reference = scorer.references[HEADLINE]
    metric = InceptionScore(reference)
    try:
        metric.update(reference.features)
    except ValueError as error:
        return Measurement(value=None, reason=str(error))
    features = f"{type(scorer.extractor).__name__} {scorer.extractor.digest[:12]}"
    return Measurement(
        value=float(metric.compute()),
        protocol=f"{features}, the real images, {reference.description}",
    )


def _named(real: dict[str, Source]) -> str:
    names = {part.name for part in real.values()}
    if len(names) == 1:
        return names.pop()
    return f"{real[HEADLINE].name} (train) and {real[HELD_OUT].name} (test)"


def _check(samples: ImageSet, real: dict[str, Source], extractor: FeatureExtractor) -> None:
    """Raise ``UserError`` unless all images are of one kind that the features accept."""
    parts = [part for part in real.values() if isinstance(part, Real)]
    for part in parts[1:]:
        other = parts[0]
        differ = part.spec.levels != other.spec.levels
        if differ or not (extractor.resizes or part.spec.shape == other.spec.shape):
            raise UserError(
                f"{other.name} holds images {_kind(other.spec)}, {part.name} {_kind(part.spec)}; "
                "real images are all of one kind"
            )
    for part in parts[:1]:
        if not extractor.resizes and samples.shape != part.spec.shape:
            raise UserError(_shape_mismatch(samples, part))
        levels = part.spec.levels
        if samples.levels not in (None, 256, levels):
            raise UserError(
                f"{samples.source} has {samples.levels} levels, {part.name} has {levels} levels, "
                f"0 to {levels - 1}; save integers in the same range in an .npz file"
            )


def _shape_mismatch(samples: ImageSet, real: Real) -> str:
    hint = "resize them"
    if samples.shape[1:] == real.spec.shape[1:]:
        hint = "save them grey" if real.spec.shape[0] == 1 else "save them RGB"
    return (
        f"{samples.source} holds images {describe_shape(samples.shape)}, "
        f"{real.name} {describe_shape(real.spec.shape)}; {hint}, the same way for all models"
    )


def _kind(spec: DataSpec) -> str:
    return f"{describe_shape(spec.shape)} with {spec.levels} levels"


def _default_features(registry: Registry, *references: str | None) -> str:
    """Return the default features of the reference data set, or pixels."""
    for name in references:
        if name and split_argument(name)[0] in registry.datasets:
            return registry.dataset(name).info.features
    return PIXELS


def _extractor(registry: Registry, name: str, spec: DataSpec) -> FeatureExtractor:
    try:
        extractor: FeatureExtractor = registry.load(registry.feature(name).info)(spec)
    except ValueError as error:
        raise UserError(f"features {name!r}: {error}") from error
    return extractor


def _warnings(
    samples: LevelCheckedImages, real: Source, extractor: FeatureExtractor
) -> Iterator[str]:
    n, d = len(samples), extractor.dimensions
    for kind, files in samples.images.lossy.items():
        yield (
            f"{files} of {n} files are {kind}: lossy compression affects every metric "
            "(Parmar et al., 2022); save samples as PNG"
        )
    if n <= d:
        yield (
            f"{n} images are no more than the {d} features: their covariance is singular, which "
            "biases the Frechet distance"
        )
    if not isinstance(real, Real):
        return
    if (m := len(real.images)) != n:
        yield (
            f"{n} samples against {m} real images: compare the Frechet distance only with values "
            "at equal numbers"
        )
    if (shape := samples.images.shape)[1:] != real.spec.shape[1:]:
        yield (
            f"the first sample is {describe_shape(shape)}, the first real image "
            f"{describe_shape(real.spec.shape)}: each image is resized separately, so the "
            "samples' resolution affects the scores"
        )
    if 2 * samples.largest < real.spec.levels:  # reading the real images again takes time
        largest = max(map(largest_value, batches(real.images, extractor.batch_size)))
        if 2 * samples.largest < largest:
            yield (
                f"the largest value of the samples is {samples.largest}, of the real images "
                f"{largest}: is their scaling the same?"
            )


def _remarks(samples: LevelCheckedImages, real: Iterable[Source]) -> list[str]:
    """Return remarks on the files themselves, once per folder."""
    remarks = [*samples.images.remarks]
    for part in real:
        if isinstance(part, Real) and isinstance(part.images, LevelCheckedImages):
            remarks += [*part.images.images.remarks, *part.images.images.undeclared]
    return list(dict.fromkeys(remarks))
