"""The data set ``image-folder:PATH``: image files of users."""

from __future__ import annotations

import logging
import stat
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from harness.contract import DataSpec
from harness.dataset import Dataset, Split
from harness.files.image_folders import find_images
from harness.files.image_oddities import Oddities
from harness.files.images import exists, read_images, user_path
from harness_datasets.errors import DatasetError
from harness_datasets.splits import assemble, split_by_content

FRACTIONS = (0.8, 0.1, 0.1)
log = logging.getLogger(__name__)
SPLIT_NAMES = {"train", "training", "val", "valid", "validation", "test"}


def load(argument: str) -> Dataset:
    """Load the images of a folder, or of its subfolders, one per class in alphabetical order.

    All images are of one size, and all grey or all RGB, 8 bits per channel. They are divided
    80/10/10 by their content, so that names and order do not matter and copies stay together. Files
    that are left out, and images with unusual properties, trigger a warning.

    Args:
        argument: path of the folder.
    """
    name = f"image-folder:{argument}"
    root = user_path(name, argument)
    if not argument or not exists(name, root, stat.S_ISDIR):
        raise DatasetError(f"{name}: there is no folder {argument!r}; write image-folder:PATH")
    paths, remarks = find_images(name, root)
    classes = _classes(name, root, paths)
    oddities = Oddities()
    images = read_images(name, paths, oddities)
    for remark in (*remarks, *oddities.undeclared(name), *oddities.turned(name)):
        log.warning(remark)
    labels = None
    if classes:
        labels = np.array([classes.index(path.parent.name) for path in paths], dtype=np.int64)
    spec = DataSpec.images(images.shape[1:], classes=len(classes))
    return assemble(name, spec, split_by_content(Split(images, labels), FRACTIONS))


def _classes(name: str, root: Path, paths: Sequence[Path]) -> list[str]:
    """Return the names of the subfolders; none if all images are in the folder itself."""
    by_depth = {len(path.relative_to(root).parts): path for path in paths}
    if max(by_depth) > 2:
        raise DatasetError(
            f"{name}: {by_depth[max(by_depth)]} is nested too deep; images must be in the folder "
            "itself or in one level of subfolders, one per class"
        )
    if len(by_depth) > 1:
        raise DatasetError(
            f"{name}: {by_depth[1]} is in the folder itself, {by_depth[2]} in a subfolder; "
            "put all images in subfolders, one per class, or none"
        )
    if 1 in by_depth:
        return []
    classes = sorted({path.parent.name for path in paths})
    if SPLIT_NAMES.issuperset(classes):
        raise DatasetError(
            f"{name}: its subfolders {', '.join(classes)} look like splits, not classes; name one "
            "of them (the harness divides it), or use npz:PATH with train_ and test_ arrays"
        )
    return classes
