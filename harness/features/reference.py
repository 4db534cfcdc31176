"""Features of many images, and what is derived from a data set's, which is cached by content."""

from __future__ import annotations

import hashlib
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load, save
from torch import Tensor

from harness.contract import DataSpec
from harness.dataset import Dataset
from harness.features.base import FeatureExtractor, Features
from harness.features.cache import VARIABLE, cache_root
from harness.metrics.base import Moments, Reference
from harness.metrics.moments import moments

BATCH_SIZE = 500
# Part of every key: raise it when features or moments are computed in another way.
VERSION = 1


def extract(
    extractor: FeatureExtractor,
    images: NDArray[np.uint8] | Tensor,
    batch_size: int = BATCH_SIZE,
    device: torch.device | None = None,
) -> Iterator[Features]:
    """Yield the features of consecutive batches, computed in eval mode without gradients.

    Args:
        extractor: moved to ``device``.
        images: uint8 (N, C, H, W), values in [0, levels).
        batch_size: images at a time; the last batch may be smaller.
        device: where features are computed and stay; the CPU by default.

    Raises:
        ValueError: if the images are not those that the extractor was built for.
    """
    whole = torch.as_tensor(images)
    _check(whole, extractor.spec)
    target = device or torch.device("cpu")
    extractor.eval().to(target)
    for batch in torch.split(whole, batch_size):
        with torch.inference_mode():
            features: Features = extractor(batch.to(target))
        yield features


def reference_moments(
    dataset: Dataset, split: str, extractor: FeatureExtractor, device: torch.device | None = None
) -> Moments:
    """Return the moments of the features of one split, on the CPU.

    They are kept in ``$GENHARNESS_CACHE``, or the user's cache folder, in a file named by the data
    set's fingerprint, the split and the extractor's digest. Processes that write the same file at
    the same time write the same content, and each renames it into place whole.
    """

    def compute() -> dict[str, Tensor]:
        batches = extract(extractor, dataset.splits[split].images, device=device)
        n, mean, covariance = moments(features.vectors for features in batches)
        return {"n": torch.tensor(n), "mean": mean, "covariance": covariance}

    found = _kept(cache_path(dataset, split, extractor), compute)
    return Moments(int(found["n"]), found["mean"], found["covariance"])


class DatasetReference(Reference):
    """One split of a data set, as features; all that is computed of it is cached like its moments.

    Args:
        dataset: the real data.
        split: what samples are compared with.
        extractor: the ruler.
        device: where features are computed; the CPU by default.
        held_out: the split that no model was trained on.
    """

    def __init__(
        self,
        dataset: Dataset,
        split: str,
        extractor: FeatureExtractor,
        device: torch.device | None = None,
        held_out: Reference | None = None,
    ) -> None:
        found = reference_moments(dataset, split, extractor, device)
        super().__init__(split, found, held_out=held_out, bandwidth=extractor.bandwidth)
        self._dataset = dataset
        self._extractor = extractor
        self._device = device

    def derived(self, what: str, compute: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        """Return tensors that depend on this reference alone, computed once on this machine."""
        path = cache_path(self._dataset, self.split, self._extractor, what)
        return super().derived(what, lambda: _kept(path, compute))

    def _load(self) -> Features:
        found = self.derived("features", self._extract)
        return Features(found["vectors"], found.get("logits"))

    def _extract(self) -> dict[str, Tensor]:
        images = self._dataset.splits[self.split].images
        batches = list(extract(self._extractor, images, device=self._device))
        parts = zip(*batches, strict=True)
        joined = {
            name: torch.cat([part.cpu() for part in column])
            for name, column in zip(Features._fields, parts, strict=True)
            if column[0] is not None
        }
        return joined


def cache_path(
    dataset: Dataset, split: str, extractor: FeatureExtractor, what: str = "moments"
) -> Path:
    """Return where something that is derived from one split is kept."""
    key = f"{what} {VERSION} {dataset.fingerprint} {split} {extractor.digest}"
    kind = what.split()[0]
    return cache_root() / "features" / f"{hashlib.sha256(key.encode()).hexdigest()}.{kind}"


def _kept(path: Path, compute: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """Return what a file keeps; where it does not, what is computed, and keep that."""
    found = _read(path)
    if found is None:
        found = {name: tensor.cpu().contiguous() for name, tensor in compute().items()}
        _write(path, found)
    return found


def _read(path: Path) -> dict[str, Tensor] | None:
    """Return what a file holds: a SHA-256, then the safetensors it is of; None if it is not so."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    size = hashlib.sha256().digest_size
    if hashlib.sha256(content[size:]).digest() != content[:size]:
        return None
    return load(content[size:])


def _write(path: Path, content: dict[str, Tensor]) -> None:
    body = save(content)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".partial-") as folder:
            draft = Path(folder) / path.name
            draft.write_bytes(hashlib.sha256(body).digest() + body)
            os.replace(draft, path)
    except OSError as error:
        warnings.warn(
            f"reference features are not kept for the next time: {error}; "
            f"the environment variable {VARIABLE} can name another folder",
            stacklevel=3,
        )


def _check(images: Tensor, spec: DataSpec) -> None:
    """Raise ``ValueError`` unless images are uint8 (N, C, H, W) within the spec's levels."""
    if images.dtype != torch.uint8:
        raise ValueError(f"images are {images.dtype}; features are taken of uint8 integers")
    if images.shape[1:] != spec.shape:
        expected = ", ".join(map(str, spec.shape))
        raise ValueError(f"images have shape {tuple(images.shape)}, not (N, {expected})")
    if len(images) and (largest := int(images.max())) >= spec.levels:
        raise ValueError(f"images hold the value {largest}, but only {spec.levels} levels exist")
