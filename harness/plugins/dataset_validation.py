"""Validation of a plugin's data set: spec, splits, images, labels, name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.contract import AXES, ArraySpec, DataSpec
from harness.dataset import Dataset, Split
from harness.errors import quoted
from harness.plugins.contract_validation import ContractBroken, describe_value


def validated_dataset(dataset: Any, name: str) -> Dataset:
    """Return a data set that matches its spec, in arrays that torch can read.

    Args:
        dataset: what its function returned.
        name: that was requested, argument included.

    Raises:
        ContractBroken: names the part that is not what ``harness.dataset`` requires.
    """
    if not isinstance(dataset, Dataset):
        raise ContractBroken(
            f"its function returned {describe_value(dataset)}; expected a harness.dataset.Dataset"
        )
    if dataset.name != name:
        raise ContractBroken(f"its name is {quoted(dataset.name)}; expected {quoted(name)}")
    _validate_spec(dataset.spec)
    entropy = dataset.entropy
    if entropy is not None and not (isinstance(entropy, int | float) and math.isfinite(entropy)):
        raise ContractBroken(f"its entropy is {quoted(entropy)}; expected a finite number or None")
    splits = {kind: _validated(kind, split, dataset.spec) for kind, split in dataset.splits.items()}
    if all(splits[kind] is split for kind, split in dataset.splits.items()):
        return dataset
    return replace(
        dataset, train=splits["train"], validation=splits["validation"], test=splits["test"]
    )


def _validate_spec(spec: Any) -> None:
    if not isinstance(spec, DataSpec):
        raise ContractBroken(
            f"its spec is {describe_value(spec)}; expected a harness.contract.DataSpec"
        )
    for name, array in (("x", spec.x), ("y", spec.y)):
        if array is not None:
            _validate_array_spec(name, array)
    if spec.x.kind == "label":
        raise ContractBroken("its spec has a label as x; a label is a condition, y")
    if not isinstance(spec.paired, bool) or (spec.y is None and not spec.paired):
        raise ContractBroken(
            f"its spec has paired = {quoted(spec.paired)}; a truth value is asked for, True where "
            "there is no y"
        )


def _validate_array_spec(name: str, array: Any) -> None:
    if not isinstance(array, ArraySpec):
        raise ContractBroken(
            f"{name} of its spec is {describe_value(array)}; "
            "a harness.contract.ArraySpec is asked for"
        )
    kind, shape = array.kind, array.shape
    if kind not in AXES:
        raise ContractBroken(
            f"{name} of its spec is of the kind {quoted(kind)}; one of {', '.join(AXES)} is asked "
            "for"
        )
    axes = sum(letter.isalpha() for letter in AXES[kind])
    if not (
        isinstance(shape, tuple) and len(shape) == axes and all(_is_whole(n, 1) for n in shape)
    ):
        raise ContractBroken(
            f"{name} of its spec has the shape {quoted(shape)}; {kind} has {axes} axes, "
            f"{AXES[kind]}, whole numbers"
        )
    if not _is_whole(array.levels, 1 if kind == "label" else 2):
        raise ContractBroken(
            f"{name} of its spec has {quoted(array.levels)} levels; a whole number is asked for"
        )
    if kind != "label" and array.levels > 256:
        raise ContractBroken(f"{name} of its spec has {array.levels} levels; expected 2 to 256")
    if array.alphabet and (kind != "text" or len(array.alphabet) != array.levels):
        raise ContractBroken(
            f"{name} of its spec has an alphabet of {len(array.alphabet)} characters; "
            f"one for each of the {array.levels} levels of a text is asked for"
        )


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _validated(kind: str, split: Any, spec: DataSpec) -> Split:
    if not isinstance(split, Split):
        raise ContractBroken(
            f"its {kind} split is {describe_value(split)}; expected a harness.dataset.Split"
        )
    x, y = split.x, split.y
    _validate_values(f"{plural(spec.x)} of {kind}", x, spec.x, None)
    if not len(x):
        raise ContractBroken(f"the {kind} split has no {plural(spec.x)}")
    if (y is None) != (spec.y is None):
        if spec.y is None:
            raise ContractBroken(f"the {kind} split has a condition y; its spec has none")
        raise ContractBroken(
            f"the {kind} split has no {plural(spec.y)} as condition y; its spec has them"
        )
    if y is not None and spec.y is not None:
        _validate_values(f"{plural(spec.y)} of {kind}", y, spec.y, len(x) if spec.paired else None)
    truth = _validated_truth(kind, split.truth, len(x) if y is None else len(y))
    kept = Split(_readable(x), None if y is None else _readable(y), truth)
    return (
        split if all(kept.arrays[name] is found for name, found in split.arrays.items()) else kept
    )


def plural(array: ArraySpec) -> str:
    """Return what several such arrays are called."""
    return {"image": "images", "label": "labels", "text": "texts", "video": "videos"}.get(
        array.kind, "sounds"
    )


def _validate_values(what: str, values: Any, array: ArraySpec, n: int | None) -> None:
    """Hold an array to the type, the shape and the range of its spec."""
    dtype = np.int64 if array.kind == "label" else np.uint8
    _validate_array(f"the {what}", values, dtype, (n, *array.shape))
    if not values.size:
        return
    low, high = int(values.min()), int(values.max())
    if low < 0 or high >= array.levels:
        number = "classes" if array.kind == "label" else "levels"
        raise ContractBroken(
            f"the {what} have values from {low} to {high}; its spec says {array.levels} {number}, "
            f"0 to {array.levels - 1}"
        )


def _validated_truth(kind: str, truth: Any, n: int) -> dict[str, NDArray[Any]]:
    if not isinstance(truth, Mapping):
        raise ContractBroken(
            f"the truth of {kind} is {describe_value(truth)}; a mapping is asked for"
        )
    for name, values in truth.items():
        if not isinstance(values, np.ndarray) or len(values) != n or values.dtype.hasobject:
            raise ContractBroken(
                f"the truth {quoted(name)} of {kind} is {describe_value(values)}; a numpy array of "
                f"numbers with {n} entries is asked for"
            )
    return {name: _readable(values) for name, values in truth.items()}


def _validate_array(what: str, array: Any, dtype: type, shape: tuple[int | None, ...]) -> None:
    name = np.dtype(dtype).name
    sizes = ", ".join("N" if size is None else str(size) for size in shape)
    asked = f"a numpy array of {name} ({sizes}{',' if len(shape) == 1 else ''}) is asked for"
    if not isinstance(array, np.ndarray):
        raise ContractBroken(f"{what} are {describe_value(array)}; {asked}")
    fits = len(array.shape) == len(shape) and all(
        size in (None, found) for size, found in zip(shape, array.shape, strict=True)
    )
    if array.dtype != dtype or not fits:
        raise ContractBroken(f"{what} are {array.dtype.str} {array.shape}; {asked}")


def _readable(array: NDArray[Any]) -> NDArray[Any]:
    """Return a plain contiguous array that torch can read."""
    return np.ascontiguousarray(array)
