"""Anybody's arrays: images, videos, sounds or texts, and what they are generated from."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.contract import AXES, ArraySpec, DataSpec, Kind
from harness.dataset import Dataset, Split
from harness.files.images import channels_first, exists, read_array_file, user_path
from harness_datasets.errors import DatasetError
from harness_datasets.splits import assemble, split_by_content

PREFIXES = ("", "train_", "validation_", "test_")
KINDS: Mapping[str, Kind] = {
    "images": "image",
    "videos": "video",
    "sounds": "audio",
    "texts": "text",
}
GIVEN, TRUTH = "given_", "truth_"
CONDITIONS: Mapping[str, Kind] = {
    "labels": "label",
    **{f"{GIVEN}{name}": kind for name, kind in KINDS.items()},
}
WHOLE = ("levels", "alphabet", "rate", f"{GIVEN}levels", f"{GIVEN}alphabet", f"{GIVEN}rate")
NAMED = (*KINDS, *CONDITIONS, f"{TRUTH}NAME")
KNOWN = (*WHOLE, *(prefix + name for prefix in PREFIXES for name in (*KINDS, *CONDITIONS)))

MOST_CLASSES = 2**16

Arrays = Mapping[str, NDArray[Any]]


def load(argument: str) -> Dataset:
    """Load an .npz file without unpickling anything.

    It holds x: ``images``, uint8 (N, H, W), (N, H, W, C) or (N, C, H, W) with C of 1 or 3; or
    ``videos`` (N, T, C, H, W), ``sounds`` (N, C, L) or ``texts`` (N, L), uint8. Perhaps a condition
    y: ``labels`` (N,), integers from 0, or ``given_images``, ``given_texts`` and so on. Perhaps
    ``truth_NAME``, N values that measurements alone see. These are divided 80/10/10 by content; or
    they are given as ``train_images``, ``test_images`` and perhaps ``validation_images``, the rest
    likewise, where a missing validation split is a tenth of the train split.

    A scalar ``levels`` says that values are in [0, levels), 256 if it is missing; ``alphabet`` has
    the characters of texts in the order of their values, ``rate`` is the samples or frames per
    second; ``given_levels`` and so on are those of y.

    Args:
        argument: path of the file.
    """
    name = f"npz:{argument}"
    path = user_path(name, argument)
    if not argument or not exists(name, path, stat.S_ISREG):
        raise DatasetError(f"{name}: there is no file {argument!r}; write npz:PATH")
    arrays = _read(name, path)
    x, y = _key(name, arrays, KINDS), _key(name, arrays, CONDITIONS)
    splits = _splits(name, arrays, x or "images", y)
    spec = DataSpec(
        _spec(name, arrays, "", KINDS[x or "images"], [split.x for split in splits]),
        _spec(name, arrays, GIVEN, CONDITIONS[y], [split.y for split in splits]) if y else None,
    )
    return assemble(name, spec, splits)


def _read(name: str, path: Path) -> dict[str, NDArray[Any]]:
    arrays = read_array_file(name, path)
    truths = tuple(prefix + TRUTH for prefix in PREFIXES)
    if unknown := {key for key in arrays if key not in KNOWN and not key.startswith(truths)}:
        raise DatasetError(
            f"{name}: unknown arrays {', '.join(sorted(unknown))}; known are {', '.join(NAMED)}, "
            f"each perhaps after train_, validation_ or test_, and {', '.join(WHOLE)}"
        )
    return arrays


def _key(name: str, arrays: Arrays, kinds: Mapping[str, Kind]) -> str | None:
    """Return which of ``kinds`` the file holds, as it is called without a split."""
    found = [key for key in kinds if any(prefix + key in arrays for prefix in PREFIXES)]
    if len(found) > 1:
        raise DatasetError(f"{name}: holds both {' and '.join(found)}; one of them is asked for")
    return found[0] if found else None


def _splits(name: str, arrays: Arrays, x: str, y: str | None) -> list[Split]:
    present = [prefix for prefix in PREFIXES if f"{prefix}{x}" in arrays]
    for key in arrays:
        prefix = next((p for p in reversed(PREFIXES) if key.startswith(p)), "")
        if key not in WHOLE and prefix not in present:
            raise DatasetError(f"{name}: holds {key} without {prefix}{x}")
    if present == [""]:
        splits = split_by_content(_split(name, arrays, "", x, y), (0.8, 0.1, 0.1))
    elif present == ["train_", "test_"]:
        train, test = (_split(name, arrays, prefix, x, y) for prefix in present)
        splits = [*split_by_content(train, (0.9, 0.1)), test]
    elif present == ["train_", "validation_", "test_"]:
        splits = [_split(name, arrays, prefix, x, y) for prefix in present]
    else:
        raise DatasetError(
            f"{name}: holds {', '.join(arrays) or 'nothing'}; needs {x}, or train_{x} and test_{x}"
        )
    shapes = {split.x.shape[1:] for split in splits}
    if len(shapes) > 1 or len({None if s.y is None else s.y.shape[1:] for s in splits}) > 1:
        raise DatasetError(
            f"{name}: splits differ: {x} {AXES[KINDS[x]]} are {', '.join(map(str, shapes))}; all "
            f"have one shape, and all have {y or 'labels'} or none has"
        )
    return splits


def _split(name: str, arrays: Arrays, prefix: str, x_key: str, y_key: str | None) -> Split:
    x = _values(name, arrays, prefix + x_key, KINDS[x_key])
    y = arrays.get(f"{prefix}{y_key}")
    if y is not None and y_key == "labels":
        y = _labels(name, f"{prefix}{y_key}", y, x_key, len(x))
    elif y is not None and y_key is not None:
        y = _values(name, arrays, prefix + y_key, CONDITIONS[y_key])
    start = prefix + TRUTH
    truth = {key[len(start) :]: array for key, array in arrays.items() if key.startswith(start)}
    for key, array in {f"{prefix}{y_key}": x if y is None else y, **truth}.items():
        if array.shape[:1] != x.shape[:1]:
            raise DatasetError(
                f"{name}: {key} has the shape {array.shape}; needs one for each of {len(x)} {x_key}"
            )
    return Split(x, y, truth)


def _values(name: str, arrays: Arrays, key: str, kind: Kind) -> NDArray[np.uint8]:
    """Return an array of uint8 with the axes of its kind."""
    if kind == "image":
        return channels_first(name, key, arrays[key])
    values, axes = arrays[key], 1 + sum(map(str.isalpha, AXES[kind]))
    if values.dtype != np.uint8 or values.ndim != axes or 0 in values.shape[1:]:
        raise DatasetError(
            f"{name}: {key} is {values.dtype} {values.shape}; needs uint8 (N, "
            f"{AXES[kind].strip('(,)')}), integers in [0, levels)"
        )
    return values


def _labels(name: str, key: str, labels: NDArray[Any], x_key: str, n: int) -> NDArray[np.int64]:
    sound = labels.shape == (n,) and np.issubdtype(labels.dtype, np.integer)
    if not sound or labels.min(initial=0) < 0:
        raise DatasetError(
            f"{name}: {key} is {labels.dtype} {labels.shape}; needs integers from 0 of shape "
            f"({n},), one for each of {x_key}"
        )
    if labels.max(initial=0) >= MOST_CLASSES:
        raise DatasetError(
            f"{name}: {key} has the class {labels.max()}; at most {MOST_CLASSES} classes, "
            "counted from 0"
        )
    return labels.astype(np.int64)


def _spec(
    name: str, arrays: Arrays, prefix: str, kind: Kind, parts: list[NDArray[Any] | None]
) -> ArraySpec:
    """Return the spec of x, or of y, whose keys begin with ``prefix``."""
    values = [part for part in parts if part is not None]
    largest = max(int(part.max(initial=0)) for part in values)
    if kind == "label":
        return ArraySpec("label", (), largest + 1)
    key = f"{prefix}levels"
    levels = arrays.get(key, np.array(256))
    if levels.shape != () or not np.issubdtype(levels.dtype, np.integer):
        raise DatasetError(f"{name}: {key} is {levels.dtype} {levels.shape}; needs one integer")
    if not max(2, largest + 1) <= levels <= 256:
        raise DatasetError(
            f"{name}: {key} is {levels}; needs at least 2, at most 256, and more than the "
            f"largest {'pixel' if kind == 'image' else 'value'}, {largest}"
        )
    return ArraySpec(
        kind,
        values[0].shape[1:],
        int(levels),
        _alphabet(name, arrays, f"{prefix}alphabet", kind, int(levels)),
        _rate(name, arrays, f"{prefix}rate"),
    )


def _alphabet(name: str, arrays: Arrays, key: str, kind: Kind, levels: int) -> str:
    if (found := arrays.get(key)) is None:
        return ""
    if kind != "text" or found.shape != () or found.dtype.kind != "U" or len(str(found)) != levels:
        raise DatasetError(
            f"{name}: {key} is {found.dtype} {found.shape}; needs one string with a character for "
            f"each of the {levels} levels of texts"
        )
    return str(found)


def _rate(name: str, arrays: Arrays, key: str) -> float:
    if (found := arrays.get(key)) is None:
        return 0.0
    if found.shape != () or found.dtype.kind not in "iuf" or not 0 < float(found) < np.inf:
        raise DatasetError(
            f"{name}: {key} is {found.dtype} {found.shape}; needs one number above 0"
        )
    return float(found)
