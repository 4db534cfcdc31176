"""A data set as the harness holds it: integer images in three splits, with a fingerprint."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from harness.contract import DataSpec


@dataclass(frozen=True)
class PublishedFiles:
    """The files that a data set is read from, as far as they are on this machine.

    Attributes:
        folders: where they are looked for, in order; the last is where one may put them.
        missing: those that are in none of the folders, as paths below one.
        downloadable: whether the loader fetches what is missing.
    """

    folders: tuple[Path, ...]
    missing: tuple[str, ...]
    downloadable: bool = True


@dataclass(frozen=True)
class Split:
    """Images of one split.

    Attributes:
        images: uint8 (N, C, H, W), values in [0, levels).
        labels: int64 (N,), or None.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class Dataset:
    """A data set: the train split is for models, the test split never reaches one.

    Attributes:
        name: as a benchmark file says it, argument included.
        spec: shape, levels and classes.
        train: what models train on.
        validation: held out for choices; models may not train on it.
        test: held out for measurement alone.
        entropy: of one image in nats, where it is known in closed form.
    """

    name: str
    spec: DataSpec
    train: Split
    validation: Split
    test: Split
    entropy: float | None = None

    @property
    def splits(self) -> dict[str, Split]:
        """The three splits by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the content of all splits, with their shapes, levels and labels."""
        digest = hashlib.sha256(repr(self.spec).encode())
        for name, split in self.splits.items():
            for part in (split.images, split.labels):
                if part is not None:
                    digest.update(f"{name} {part.shape} {part.dtype.str}".encode())
                    digest.update(np.ascontiguousarray(part).data)
        return digest.hexdigest()
