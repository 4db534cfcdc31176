"""CIFAR-10 compressed as JPEG of quality 75: a lossy stand-in where the published files are not.

Krizhevsky (2009), Learning multiple layers of features from tiny images.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harness.contract import DataSpec
from harness.dataset import Dataset, PublishedFiles, Split
from harness.files.images import read_array_file
from harness_datasets.errors import DatasetError
from harness_datasets.files import VARIABLE, cache, is_file, reading, roots
from harness_datasets.splits import assemble, hold_out

NAME = "cifar10-jpeg"
FILE = "cifar10-jpeg/cifar10_jpeg_bytes.npz"
SHA256 = "5d1b79afe1daf499e45df1996f2ece2b84a84a5e7ed8c74fe8a909d616338944"
VALIDATION = 5_000


def load() -> Dataset:
    """Load CIFAR-10 (JPEG q75): 45,000 images 3x32x32 to train, 5,000 to validate, 10,000 to test.

    Compression moves pixels by some 30 dB, so no figure on these images is one on CIFAR-10.
    """
    arrays = read_array_file(NAME, _locate())
    train, validation = hold_out(_split(arrays, "train"), VALIDATION)
    spec = DataSpec.images(train.x.shape[1:], classes=10)
    return assemble(NAME, spec, (train, validation, _split(arrays, "test")))


def files() -> PublishedFiles:
    """Look for the one file, which is not published anywhere."""
    missing = () if _found() else (FILE,)
    return PublishedFiles(tuple(roots()), missing, downloadable=False)


def _found() -> Path | None:
    return next((root / FILE for root in roots() if is_file(root / FILE)), None)


def _locate() -> Path:
    path = _found()
    if path is None:
        places = "".join(f"  {root / FILE}\n" for root in roots())
        raise DatasetError(
            f"{NAME}: its file is not on this machine, and is not available for download.\nLooked "
            f"for:\n{places}Put it in {cache()} or in a folder that the environment "
            f"variable {VARIABLE} names; the uncompressed images are the data set cifar10."
        )
    with reading(path):
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != SHA256:
        raise DatasetError(
            f"{NAME}: {path} is another file: its SHA-256 is {found}, not {SHA256}; remove it or "
            "put the right one there"
        )
    return path


def _split(arrays: Mapping[str, NDArray[Any]], kind: str) -> Split:
    """Decode one split: image i is ``bytes[offsets[i] : offsets[i + 1]]``."""
    content, offsets = arrays[f"{kind}_bytes"].tobytes(), arrays[f"{kind}_offsets"]
    images = [
        np.asarray(Image.open(io.BytesIO(content[start:stop])).convert("RGB"))
        for start, stop in zip(offsets[:-1], offsets[1:], strict=True)
    ]
    channels_first = np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2))
    return Split(channels_first, arrays[f"{kind}_labels"].astype(np.int64))
