"""Features of many images, and what is derived from a data set's, which is cached by content."""

from __future__ import annotations

import hashlib
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load, save
from torch import Tensor

from harness.dataset import Dataset
from harness.features.base import FeatureExtractor, Features
from harness.features.cache import VARIABLE, cache_root
from harness.metrics.base import Moments, Reference
from harness.metrics.moments import moments

# Part of every key: raise it when features or moments are computed or kept in another way.
VERSION = 2


class ImageStream(Protocol):
    """Images that are read a batch at a time, as often as they are asked for."""

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
    """Images of one shape, (n, C, H, W), and their places in the batch."""

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
    joined = _joined(parts)
    logits = joined.logits
    return Features(joined.vectors[order], None if logits is None else logits[order])


def _joined(parts: Sequence[Features]) -> Features:
    """Join features of batches: vectors, and logits where there are any."""
    vectors, logits = zip(*parts, strict=True)
    return Features(torch.cat(vectors), None if logits[0] is None else torch.cat(logits))


class ImageReference(Reference):
    """Real images as features; all that is computed of them is cached by their content.

    What is kept lies in ``$GENHARNESS_CACHE``, or the user's cache folder. Processes that write
    the same file at the same time write the same content, and each renames it into place whole.

    Args:
        split: its name.
        images: what samples are compared with.
        content: a fingerprint of the images.
        extractor: the ruler.
        device: where features are computed; the CPU by default.
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
        """Return tensors that depend on this reference alone, computed once on this machine."""
        path = cache_path(self._content, self._extractor, what)
        return super().derived(what, lambda: _kept(path, compute))

    def _moments(self) -> dict[str, Tensor]:
        n, mean, covariance = moments(features.vectors for features in self._extract())
        return {"n": torch.tensor(n), "mean": mean, "covariance": covariance}

    def _load(self) -> Features:
        found = self.derived("features", self._all_features)
        return Features(found["vectors"], found.get("logits"))

    def _all_features(self) -> dict[str, Tensor]:
        joined = _joined([_on_cpu(features) for features in self._extract()])
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
    held_out = dataset_reference(dataset, "test", extractor, device) if len(dataset.test) else None
    train: Reference = dataset_reference(dataset, "train", extractor, device, held_out)
    return {"train": train, "test": held_out} if held_out else {"train": train}


def split_content(dataset: Dataset, split: str) -> str:
    """Return what names the content of one split."""
    return f"{dataset.fingerprint} {split}"


def cache_path(content: str, extractor: FeatureExtractor, what: str = "moments") -> Path:
    """Return where something that is derived from images is kept."""
    key = f"{what} {VERSION} {content} {extractor.digest}"
    kind = what.split()[0]
    return cache_root() / "features" / f"{hashlib.sha256(key.encode()).hexdigest()}.{kind}"


def _own(features: Features) -> Features:
    """Return features in memory of their own: an extractor may fill the same anew every time."""
    vectors, logits = features
    return Features(vectors.clone(), None if logits is None else logits.clone())


def _on_cpu(features: Features) -> Features:
    vectors, logits = features
    return Features(vectors.cpu(), None if logits is None else logits.cpu())


def _kept(path: Path, compute: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """Return what a file keeps; where it does not, what is computed, and keep that."""
    found = _read(path)
    if found is None:
        found = {name: tensor.cpu().contiguous() for name, tensor in compute().items()}
        _write(path, found)
    return found


def _read(path: Path) -> dict[str, Tensor] | None:
    """Return what a file holds: a SHA-256, then safetensors; None if they do not fit its name."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    size = hashlib.sha256().digest_size
    if _seal(path, content[size:]) != content[:size]:
        return None
    return load(content[size:])


def _seal(path: Path, body: bytes) -> bytes:
    """Return the SHA-256 of a file's name, which is its key, and of its content.

    So a whole file that lies under another's name is as good as damaged.
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
            f"reference features are not kept for the next time: {error}; "
            f"the environment variable {VARIABLE} can name another folder",
            stacklevel=3,
        )


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
