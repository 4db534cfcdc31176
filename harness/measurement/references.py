"""What a metric compares samples with, of a data set: cached by content."""

from __future__ import annotations

import hashlib
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from safetensors.torch import load, save
from torch import Tensor

from harness.dataset import Dataset
from harness.features.base import FeatureExtractor, Features
from harness.features.cache import VARIABLE, cache_root
from harness.measurement.extraction import Images, extract, join_features
from harness.metrics.base import Moments, Reference
from harness.metrics.moments import moments

# Part of every key: raise it when the computation or storage of features or moments changes.
VERSION = 2

HEADLINE, HELD_OUT = "train", "test"
"""Splits that samples are compared with: the headline's, and the one beside it."""


class ImageReference(Reference):
    """Features of real images; everything computed from them is cached by content.

    The cache is in ``$GENHARNESS_CACHE``, or the user's cache folder. Processes that write the same
    file concurrently write the same content, and each renames it into place atomically.

    Args:
        split: its name.
        images: real images.
        content: a fingerprint of the images.
        extractor: of the features.
        device: on which features are computed; the CPU by default.
        held_out: images that no model was trained on.
    """

    def __init__(
        self,
        split: str,
        images: Images,
        content: str,
        extractor: FeatureExtractor,
        device: torch.device | None = None,
        held_out: Reference | None = None,
    ) -> None:
        self._images = images
        self._content = content
        self._extractor = extractor
        self._device = device
        found = _kept(cache_path(content, extractor), self._moments)
        own = Moments(int(found["n"]), found["mean"], found["covariance"])
        super().__init__(split, own, held_out=held_out, bandwidth=extractor.bandwidth)

    def derived(self, what: str, compute: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        """Return tensors that depend only on this reference, computed once on this machine."""
        path = cache_path(self._content, self._extractor, what)
        return super().derived(what, lambda: _kept(path, compute))

    def _moments(self) -> dict[str, Tensor]:
        n, mean, covariance = moments(features.vectors for features in self._extract())
        return {"n": torch.tensor(n), "mean": mean, "covariance": covariance}

    def _load(self) -> Features:
        found = self.derived("features", self._all_features)
        return Features(found["vectors"], found.get("logits"))

    def _all_features(self) -> dict[str, Tensor]:
        joined = join_features([_on_cpu(features) for features in self._extract()])
        return {name: part for name, part in joined._asdict().items() if part is not None}

    def _extract(self) -> Iterator[Features]:
        return extract(self._extractor, self._images, device=self._device)


def dataset_reference(
    dataset: Dataset,
    split: str,
    extractor: FeatureExtractor,
    device: torch.device | None = None,
    held_out: Reference | None = None,
) -> ImageReference:
    """Return one split of a data set as a reference."""
    images = dataset.splits[split].x
    return ImageReference(split, images, split_content(dataset, split), extractor, device, held_out)


def dataset_references(
    dataset: Dataset, extractor: FeatureExtractor, device: torch.device | None = None
) -> dict[str, Reference]:
    """Return the train split of a data set, and its test split if that holds images."""
    held_out = (
        dataset_reference(dataset, HELD_OUT, extractor, device) if len(dataset.test) else None
    )
    train: Reference = dataset_reference(dataset, HEADLINE, extractor, device, held_out)
    return {HEADLINE: train} | ({HELD_OUT: held_out} if held_out else {})


def split_content(dataset: Dataset, split: str) -> str:
    """Return an identifier of the content of one split."""
    return f"{dataset.fingerprint} {split}"


def cache_path(content: str, extractor: FeatureExtractor, what: str = "moments") -> Path:
    """Return the cache path of something derived from images."""
    key = f"{what} {VERSION} {content} {extractor.digest}"
    kind = what.split()[0]
    return cache_root() / "features" / f"{hashlib.sha256(key.encode()).hexdigest()}.{kind}"


def _on_cpu(features: Features) -> Features:
    vectors, logits = features
    return Features(vectors.cpu(), None if logits is None else logits.cpu())


def _kept(path: Path, compute: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """Return cached tensors, or compute and cache them."""
    found = _read(path)
    if found is None:
        found = {name: tensor.cpu().contiguous() for name, tensor in compute().items()}
        _write(path, found)
    return found


def _read(path: Path) -> dict[str, Tensor] | None:
    """Return the tensors of a file: SHA-256, safetensors; None if that does not match its name."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    size = hashlib.sha256().digest_size
    if _seal(path, content[size:]) != content[:size]:
        return None
    return load(content[size:])


def _seal(path: Path, body: bytes) -> bytes:
    """Return the SHA-256 of a file's name, which is its key, and its content.

    So an intact file under another name counts as damaged.
    """
    return hashlib.sha256(path.name.encode() + body).digest()


def _write(path: Path, content: dict[str, Tensor]) -> None:
    body = save(content)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".partial-") as folder:
            draft = Path(folder) / path.name
            draft.write_bytes(_seal(path, body) + body)
            os.replace(draft, path)
    except OSError as error:
        warnings.warn(
            f"reference features were not cached: {error}; "
            f"the environment variable {VARIABLE} can name another folder",
            stacklevel=3,
        )
