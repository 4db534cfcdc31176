"""CIFAR-10: photographs of animals and vehicles.

Krizhevsky (2009), Learning multiple layers of features from tiny images.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torchvision.datasets import CIFAR10
from torchvision.datasets.utils import check_integrity, extract_archive

from harness.contract import DataSpec
from harness.dataset import Dataset, PublishedFiles, Split
from harness_datasets.errors import DatasetError
from harness_datasets.files import download, install, is_file, reading, roots
from harness_datasets.splits import assemble, hold_out

# The last images of the fifth file of the train set, which is in random order.
VALIDATION = 5_000


def load() -> Dataset:
    """Load CIFAR-10: 45,000 images 3x32x32 to train, 5,000 to validate, 10,000 to test."""
    root = _locate()
    # Unpickled below: only the published bytes may be.
    for file, digest in _files().items():
        if not _is_sound(root / file, digest):
            raise DatasetError(
                f"cifar10: {root / file} is not the published file: its MD5 is not {digest}; "
                "remove it or put the published one there"
            )
    train, validation = hold_out(_split(CIFAR10(root, train=True)), VALIDATION)
    test = _split(CIFAR10(root, train=False))
    return assemble(
        "cifar10", DataSpec.images(train.x.shape[1:], classes=10), (train, validation, test)
    )


def files() -> PublishedFiles:
    """Look for the archive, or the files unpacked from it."""
    missing = () if _unpacked() or _archive() else (CIFAR10.filename,)
    return PublishedFiles(tuple(roots()), missing)


def _locate() -> Path:
    """Return a root that holds the unpacked files: as they are, unpacked now, or downloaded."""
    if (root := _unpacked()) is not None:
        return root
    archive = _archive()
    if archive is None:
        download("cifar10", lambda folder: CIFAR10(folder, download=True), [CIFAR10.filename])
    elif not _is_sound(archive, CIFAR10.tgz_md5):
        raise DatasetError(
            f"cifar10: {archive} is not the published archive: its MD5 is not "
            f"{CIFAR10.tgz_md5}; remove it or put the published one there"
        )
    else:
        install(lambda folder: extract_archive(archive, folder))
    root = _unpacked()
    assert root is not None
    return root


def _is_sound(path: Path, digest: str) -> bool:
    with reading(path):
        return bool(check_integrity(path, digest))


def _archive() -> Path | None:
    archives = (root / CIFAR10.filename for root in roots())
    return next((path for path in archives if is_file(path)), None)


def _files() -> dict[str, str]:
    """Return the files below a root with their MD5."""
    meta = (CIFAR10.meta["filename"], CIFAR10.meta["md5"])
    files = (*CIFAR10.train_list, *CIFAR10.test_list, meta)
    return {f"{CIFAR10.base_folder}/{file}": digest for file, digest in files}


def _unpacked() -> Path | None:
    return next((root for root in roots() if all(is_file(root / file) for file in _files())), None)


def _split(source: CIFAR10) -> Split:
    images = np.ascontiguousarray(source.data.transpose(0, 3, 1, 2))
    return Split(images, np.array(source.targets, dtype=np.int64))
