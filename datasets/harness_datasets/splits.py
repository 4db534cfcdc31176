"""Splits that depend on nothing but the content."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from harness.contract import DataSpec
from harness.dataset import Dataset, Split
from harness_datasets.errors import DatasetError


def split_by_content(whole: Split, fractions: Sequence[float]) -> list[Split]:
    """Divide examples into ``len(fractions)`` splits, stratified by label where y is one.

    Distinct x are ranked within their class by the SHA-256 of their values and cut at the
    quantiles that ``fractions`` (of sum 1) ask for, so the division is the same on every machine
    and depends neither on file names nor on a random generator. Copies of an x share a split:
    none that a model trained on is measured against.

    Args:
        whole: the examples.
        fractions: of the distinct x that each split gets.
    """
    digests = np.array([_digest(x) for x in whole.x], dtype=np.uint64)
    distinct, first, copies = np.unique(digests, return_index=True, return_inverse=True)
    labels = whole.y if whole.y is not None and whole.y.ndim == 1 else None
    strata = np.zeros(len(distinct)) if labels is None else labels[first]
    quantile = np.empty(len(distinct))
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        quantile[members] = (np.arange(len(members)) + 0.5) / len(members)
    cuts = np.rint(np.cumsum(fractions)[:-1] * len(distinct))
    part = np.empty(len(distinct), dtype=np.int64)
    part[np.argsort(quantile, kind="stable")] = np.searchsorted(
        cuts, np.arange(len(distinct)), side="right"
    )
    return [
        _chosen(whole, chosen)
        for chosen in (np.flatnonzero(part[copies] == index) for index in range(len(fractions)))
    ]


def _chosen(whole: Split, rows: NDArray[np.intp]) -> Split:
    y = None if whole.y is None else whole.y[rows]
    return Split(whole.x[rows], y, {name: array[rows] for name, array in whole.truth.items()})


def hold_out(train: Split, n: int) -> tuple[Split, Split]:
    """Cut the last ``n`` images off a published train split, for validation."""
    assert train.y is not None
    return (
        Split(train.x[:-n], train.y[:-n]),
        Split(train.x[-n:], train.y[-n:]),
    )


def assemble(name: str, spec: DataSpec, splits: Sequence[Split]) -> Dataset:
    """Return the data set of a train, validation and test split, none of which may be empty."""
    train, validation, test = splits
    for kind, split in (("train", train), ("validation", validation), ("test", test)):
        if not len(split):
            raise DatasetError(
                f"{name}: {sum(map(len, splits))} images are too few to divide into train, "
                f"validation and test: no distinct image is left for the {kind} split"
            )
    return Dataset(name, spec, train, validation, test)


def _digest(x: NDArray[np.uint8]) -> int:
    return int.from_bytes(hashlib.sha256(x.tobytes()).digest()[:8], "big")
