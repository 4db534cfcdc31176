"""A data set as the harness holds it: integer arrays in three splits, with a fingerprint."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    """Examples of one split.

    Attributes:
        x: uint8 (N, *x.shape), values in [0, levels).
        y: conditions, uint8 (N, *y.shape), or int64 (N,) of labels; None without any.
        truth: what only the measurement may see, by name, each (N, ...): the true pair of an
            unpaired task, the attributes behind a caption, the actions behind a video.
    """

    x: NDArray[np.uint8]
    y: NDArray[Any] | None = None
    truth: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.x)

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """All arrays of the split by name: "x", "y", and "truth.NAME" for each truth."""
        found: dict[str, NDArray[Any]] = {"x": self.x}
        if self.y is not None:
            found["y"] = self.y
        return found | {f"truth.{name}": array for name, array in sorted(self.truth.items())}


@dataclass(frozen=True)
class Dataset:
    """A data set: the train split is for models, the test split never reaches one.

    Attributes:
        name: as a benchmark file says it, argument included.
        spec: kinds, shapes and levels of x and y.
        train: what models train on.
        validation: held out for choices; models may not train on it.
        test: held out for measurement alone.
        entropy: of one x in nats, given y where there is one, where it is known in closed form.
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
        """SHA-256 of the content of all splits, with their spec."""
        digest = hashlib.sha256(repr(self.spec).encode())
        for name, split in self.splits.items():
            for part, array in split.arrays.items():
                digest.update(f"{name} {part} {array.shape} {array.dtype.str}".encode())
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()
