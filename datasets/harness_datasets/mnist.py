"""MNIST and Fashion-MNIST, in the files as they were published.

LeCun, Bottou, Bengio and Haffner (1998), Gradient-based learning applied to document recognition.
Xiao, Rasul and Vollgraf (2017), Fashion-MNIST, arXiv:1708.07747.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torchvision import datasets

from harness.contract import DataSpec
from harness.dataset import Dataset, PublishedFiles, Split
from harness_datasets.errors import DatasetError
from harness_datasets.files import download, is_file, roots
from harness_datasets.splits import assemble, hold_out

# The last images of the train file, so that published results on the first 55,000 compare.
VALIDATION = 5_000

# SHA-256 of the unpacked files: the same content circulates in several gzip wrappers.
MNIST = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
FASHION_MNIST = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}


def load_mnist() -> Dataset:
    """Load MNIST: 55,000 images 1x28x28 to train, 5,000 to validate, 10,000 to test."""
    return _load("mnist", datasets.MNIST, MNIST)


def load_fashion_mnist() -> Dataset:
    """Load Fashion-MNIST: 55,000 images 1x28x28 to train, 5,000 to validate, 10,000 to test."""
    return _load("fashion-mnist", datasets.FashionMNIST, FASHION_MNIST)


def mnist_files() -> PublishedFiles:
    """Look for the files of MNIST."""
    return PublishedFiles(tuple(roots()), tuple(_missing(datasets.MNIST, MNIST)))


def fashion_mnist_files() -> PublishedFiles:
    """Look for the files of Fashion-MNIST."""
    return PublishedFiles(tuple(roots()), tuple(_missing(datasets.FashionMNIST, FASHION_MNIST)))


def _load(name: str, source: type[datasets.MNIST], digests: dict[str, str]) -> Dataset:
    folder = _folder(source)
    if missing := _missing(source, digests):
        download(name, lambda root: source(root, download=True), missing)
    train_images, train_labels, test_images, test_labels = (
        _read(name, folder, file, digest) for file, digest in digests.items()
    )
    train, validation = hold_out(_split(train_images, train_labels), VALIDATION)
    spec = DataSpec.images(train.x.shape[1:], classes=len(source.classes))
    return assemble(name, spec, (train, validation, _split(test_images, test_labels)))


def _split(images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> Split:
    return Split(images[:, np.newaxis], labels.astype(np.int64))


def _folder(source: type[datasets.MNIST]) -> str:
    return f"{source.__name__}/raw"


def _missing(source: type[datasets.MNIST], digests: dict[str, str]) -> list[str]:
    folder = _folder(source)
    return [f"{folder}/{file}.gz" for file in digests if _find(folder, file) is None]


def _find(folder: str, file: str) -> Path | None:
    names = (f"{folder}/{file}", f"{folder}/{file}.gz")
    paths = (root / name for root in roots() for name in names)
    return next((path for path in paths if is_file(path)), None)


def _read(name: str, folder: str, file: str, digest: str) -> NDArray[np.uint8]:
    """Read a file in IDX format, unpacked or not, if its content has the given SHA-256."""
    path = _find(folder, file)
    assert path is not None
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(
            f"{name}: {path} cannot be read ({error}); remove it and retry"
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if found != digest:
        raise DatasetError(
            f"{name}: {path} is not the published file: SHA-256 of its content is {found}, "
            f"not {digest}; remove it or put the published one there"
        )
    return parse_idx(content)


def parse_idx(content: bytes) -> NDArray[np.uint8]:
    """Parse IDX format: 0, 0, type 8 (uint8), rank r, then r big-endian int32 sizes, then data."""
    rank = content[3]
    shape = np.frombuffer(content, ">i4", count=rank, offset=4)
    # A copy, because torch cannot share the memory of a read-only array.
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(shape).copy()
