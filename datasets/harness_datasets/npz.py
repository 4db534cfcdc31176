"""Anybody's arrays of images."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.contract import DataSpec
from harness.dataset import Dataset, Split
from harness.files.images import channels_first, exists, read_array_file, user_path
from harness_datasets.errors import DatasetError
from harness_datasets.splits import assemble, split_by_content

PREFIXES = ("", "train_", "validation_", "test_")
KNOWN = ("levels", *(prefix + kind for prefix in PREFIXES for kind in ("images", "labels")))

MOST_CLASSES = 2**16

Arrays = Mapping[str, NDArray[Any]]


def load(argument: str) -> Dataset:
    """Load an .npz file without unpickling anything.

    It holds ``images``, uint8 (N, H, W), (N, H, W, C) or (N, C, H, W) with C of 1 or 3, and perhaps
    ``labels`` (N,), integers from 0, which are divided 80/10/10 by content; or ``train_images``,
    ``test_images`` and perhaps ``validation_images`` with labels named likewise, where a missing
    validation split is a tenth of the train split. A scalar ``levels`` says that pixels are in
    [0, levels); 256 if it is missing.

    Args:
        argument: path of the file.
    """
    name = f"npz:{argument}"
    path = user_path(name, argument)
    if not argument or not exists(name, path, stat.S_ISREG):
        raise DatasetError(f"{name}: there is no file {argument!r}; write npz:PATH")
    arrays = _read(name, path)
    splits = _splits(name, arrays)
    labels = [split.y for split in splits if split.y is not None]
    classes = 1 + max(int(part.max(initial=0)) for part in labels) if labels else 0
    spec = DataSpec.images(splits[0].x.shape[1:], _levels(name, arrays, splits), classes)
    return assemble(name, spec, splits)


def _read(name: str, path: Path) -> dict[str, NDArray[Any]]:
    arrays = read_array_file(name, path)
    if unknown := set(arrays) - set(KNOWN):
        raise DatasetError(
            f"{name}: unknown arrays {', '.join(sorted(unknown))}; known are {', '.join(KNOWN)}"
        )
    return arrays


def _splits(name: str, arrays: Arrays) -> list[Split]:
    for key in arrays:
        if key.endswith("labels") and key.replace("labels", "images") not in arrays:
            raise DatasetError(f"{name}: holds {key} without {key.replace('labels', 'images')}")
    present = [prefix for prefix in PREFIXES if f"{prefix}images" in arrays]
    if present == [""]:
        whole = _split(name, arrays, "")
        splits = split_by_content(whole.x, whole.y, (0.8, 0.1, 0.1))
    elif present == ["train_", "test_"]:
        train, test = _split(name, arrays, "train_"), _split(name, arrays, "test_")
        splits = [*split_by_content(train.x, train.y, (0.9, 0.1)), test]
    elif present == ["train_", "validation_", "test_"]:
        splits = [_split(name, arrays, prefix) for prefix in present]
    else:
        raise DatasetError(
            f"{name}: holds {', '.join(arrays) or 'nothing'}; needs images, or train_images and "
            "test_images"
        )
    shapes = {split.x.shape[1:] for split in splits}
    if len(shapes) > 1 or len({split.y is None for split in splits}) > 1:
        raise DatasetError(
            f"{name}: splits differ: images (C, H, W) are {', '.join(map(str, shapes))}; all "
            "have one shape, and all have labels or none has"
        )
    return splits


def _split(name: str, arrays: Arrays, prefix: str) -> Split:
    images = channels_first(name, f"{prefix}images", arrays[f"{prefix}images"])
    labels = arrays.get(f"{prefix}labels")
    if labels is None:
        return Split(images)
    sound = labels.shape == (len(images),) and np.issubdtype(labels.dtype, np.integer)
    if not sound or labels.min(initial=0) < 0:
        raise DatasetError(
            f"{name}: {prefix}labels is {labels.dtype} {labels.shape}; needs integers from 0 of "
            f"shape ({len(images)},), one for each image"
        )
    if labels.max(initial=0) >= MOST_CLASSES:
        raise DatasetError(
            f"{name}: {prefix}labels has the class {labels.max()}; at most {MOST_CLASSES} classes, "
            "counted from 0"
        )
    return Split(images, labels.astype(np.int64))


def _levels(name: str, arrays: Arrays, splits: list[Split]) -> int:
    levels = arrays.get("levels", np.array(256))
    if levels.shape != () or not np.issubdtype(levels.dtype, np.integer):
        raise DatasetError(f"{name}: levels is {levels.dtype} {levels.shape}; needs one integer")
    largest = max(int(split.x.max(initial=0)) for split in splits)
    if not max(2, largest + 1) <= levels <= 256:
        raise DatasetError(
            f"{name}: levels is {levels}; needs at least 2, at most 256, and more than the "
            f"largest pixel, {largest}"
        )
    return int(levels)
