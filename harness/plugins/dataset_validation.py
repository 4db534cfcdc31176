"""Whether what a plugin calls a data set is one: spec, splits, images, labels, name."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.contract import DataSpec
from harness.dataset import Dataset, Split
from harness.errors import shown
from harness.plugins.contract_validation import ContractBroken, described


def validated_dataset(dataset: Any, name: str) -> Dataset:
    """Return a data set that holds what its spec says, in arrays that torch can read.

    Args:
        dataset: what its function returned.
        name: that it was asked for by, argument included.

    Raises:
        ContractBroken: saying which part is not what ``harness.dataset`` asks for.
    """
    if not isinstance(dataset, Dataset):
        raise ContractBroken(
            f"its function returned {described(dataset)}; a harness.dataset.Dataset is asked for"
        )
    if dataset.name != name:
        raise ContractBroken(f"its name is {shown(dataset.name)}; {shown(name)} was asked for")
    _validate_spec(dataset.spec)
    entropy = dataset.entropy
    if entropy is not None and not (isinstance(entropy, int | float) and math.isfinite(entropy)):
        raise ContractBroken(
            f"its entropy is {shown(entropy)}; a finite number or None is asked for"
        )
    splits = {kind: _validated(kind, split, dataset.spec) for kind, split in dataset.splits.items()}
    labelled = [kind for kind, split in splits.items() if split.labels is not None]
    if labelled and len(labelled) < len(splits):
        raise ContractBroken(f"there are labels in {', '.join(labelled)} alone; give all or none")
    if all(splits[kind] is split for kind, split in dataset.splits.items()):
        return dataset
    return replace(
        dataset, train=splits["train"], validation=splits["validation"], test=splits["test"]
    )


def _validate_spec(spec: Any) -> None:
    if not isinstance(spec, DataSpec):
        raise ContractBroken(
            f"its spec is {described(spec)}; a harness.contract.DataSpec is asked for"
        )
    shape = spec.shape
    if not (isinstance(shape, tuple) and len(shape) == 3 and all(_is_whole(n, 1) for n in shape)):
        raise ContractBroken(
            f"its spec has the shape {shown(shape)}; three whole numbers (C, H, W) are asked for"
        )
    if not (_is_whole(spec.levels, 2) and spec.levels <= 256):
        raise ContractBroken(f"its spec has {shown(spec.levels)} levels; 2 to 256 are asked for")
    if not _is_whole(spec.classes, 0):
        raise ContractBroken(
            f"its spec has {shown(spec.classes)} classes; a whole number is asked for, 0 for none"
        )


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _validated(kind: str, split: Any, spec: DataSpec) -> Split:
    if not isinstance(split, Split):
        raise ContractBroken(
            f"its {kind} split is {described(split)}; a harness.dataset.Split is asked for"
        )
    images, labels = split.images, split.labels
    _validate_array(f"the images of {kind}", images, np.uint8, (None, *spec.shape))
    if not len(images):
        raise ContractBroken(f"the {kind} split has no images")
    if spec.levels < 256 and (highest := int(images.max())) >= spec.levels:
        raise ContractBroken(
            f"the images of {kind} hold the value {highest}; its spec says {spec.levels} levels, "
            f"0 to {spec.levels - 1}"
        )
    if labels is not None:
        _validate_array(f"the labels of {kind}", labels, np.int64, (len(images),))
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= spec.classes:
            raise ContractBroken(
                f"the labels of {kind} are {low} to {high}; its spec says {spec.classes} classes"
                + (f", 0 to {spec.classes - 1}" if spec.classes else "")
            )
    elif spec.classes:
        raise ContractBroken(
            f"the {kind} split has no labels; its spec says {spec.classes} classes"
        )
    kept = _readable(images), None if labels is None else _readable(labels)
    return split if (kept[0] is images and kept[1] is labels) else Split(*kept)


def _validate_array(what: str, array: Any, dtype: type, shape: tuple[int | None, ...]) -> None:
    name = np.dtype(dtype).name
    sizes = ", ".join("N" if size is None else str(size) for size in shape)
    asked = f"a numpy array of {name} ({sizes}{',' if len(shape) == 1 else ''}) is asked for"
    if not isinstance(array, np.ndarray):
        raise ContractBroken(f"{what} are {described(array)}; {asked}")
    fits = len(array.shape) == len(shape) and all(
        size in (None, found) for size, found in zip(shape, array.shape, strict=True)
    )
    if array.dtype != dtype or not fits:
        raise ContractBroken(f"{what} are {array.dtype.str} {array.shape}; {asked}")


def _readable(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array that torch reads: in order, and of no class of its own."""
    return np.ascontiguousarray(array)
