"""Images of a folder, of an .npz or of an .npy file, read one batch at a time.

At most two batches are in memory: the current one, and the next, which a thread reads meanwhile.
"""

from __future__ import annotations

import hashlib
import math
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.lib import format as npy
from numpy.typing import NDArray
from torch import Tensor

from harness.files.arrays import ArrayFile, Header, fill, read_header
from harness.files.image_folders import find_images
from harness.files.image_oddities import Oddities
from harness.files.images import (
    ImageError,
    Images,
    channel_axis,
    check_alike,
    check_file,
    check_memory,
    decode,
    examine,
    exists,
    unreadable,
    user_path,
)

MOMENTS = ("mu", "sigma")
SPATIAL = ("mu_s", "sigma_s")
"""Arrays beside the moments in the reference files of Dhariwal and Nichol (2021)."""
_CHUNK = 2**16


@dataclass(frozen=True)
class ImageSet(ABC):
    """Images of one folder or file.

    Attributes:
        source: its path, as it was given.
    """

    source: str

    @property
    def levels(self) -> int | None:
        """Levels that the file declares; None if it does not."""
        return None

    @property
    def lossy(self) -> Mapping[str, int]:
        """Number of lossy files by format."""
        return {}

    @property
    def remarks(self) -> tuple[str, ...]:
        """One sentence each on what was left out, and on unusual properties of the images."""
        return ()

    @property
    def undeclared(self) -> list[str]:
        """A sentence if files are lossy although their suffix does not suggest it."""
        return []

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """(C, H, W) of the first image."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """SHA-256 of the content."""

    @abstractmethod
    def __len__(self) -> int:
        """Return how many images there are."""

    def batches(self, size: int) -> Iterator[Sequence[Tensor]]:
        """Yield up to ``size`` images at a time, in order, each uint8 (C, H, W)."""
        return _read_ahead(self._batches(size))

    @abstractmethod
    def _batches(self, size: int) -> Iterator[Sequence[Tensor]]:
        """Read them in another thread, because torch would start threads of its own there."""

    def of_one_shape(self) -> Self:
        """Return these images; one of another shape than the first is an error."""
        return self


@dataclass(frozen=True)
class ImageFolder(ImageSet):
    """Image files.

    Attributes:
        paths: of the files.
        found: remarks of the search.
        alike: whether one of another shape than the first is an error.
    """

    paths: tuple[Path, ...]
    found: tuple[str, ...] = ()
    alike: bool = False
    _noted: Oddities = field(default_factory=Oddities, compare=False, repr=False)

    @property
    def levels(self) -> int:
        """Those of 8 bits."""
        return 256

    @property
    def lossy(self) -> Mapping[str, int]:
        """Number of lossy files by format."""
        return self._oddities().lossy

    @property
    def undeclared(self) -> list[str]:
        """A sentence if files are lossy although their suffix does not suggest it."""
        return self._oddities().undeclared(self.source)

    @property
    def remarks(self) -> tuple[str, ...]:
        """One sentence each on what was left out, and on unusual properties of the images."""
        return (*self.found, *self._oddities().turned(self.source))

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W) of the first image."""
        return decode(self.source, self.paths[0]).pixels.shape

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the files' content, in order."""
        whole = hashlib.sha256()
        for path in self.paths:
            check_file(self.source, path)
            try:
                whole.update(hashlib.sha256(path.read_bytes()).digest())
            except OSError as error:
                raise unreadable(self.source, path, error) from error
        return whole.hexdigest()

    def _oddities(self) -> Oddities:
        """Return the properties of all files, decoded or not: features may be cached."""
        for path in set(self.paths) - self._noted.seen:
            self._noted.note(path, examine(self.source, path))
        return self._noted

    def __len__(self) -> int:
        """Return how many images there are."""
        return len(self.paths)

    def of_one_shape(self) -> Self:
        """Return these images; one of another shape than the first is an error."""
        return replace(self, alike=True)

    def _batches(self, size: int) -> Iterator[Sequence[Tensor]]:
        for start in range(0, len(self.paths), size):
            images = [self._read(path) for path in self.paths[start : start + size]]
            if len({image.shape for image in images}) == 1:
                yield torch.from_numpy(np.stack(images))  # type: ignore[misc]
            else:
                yield [torch.tensor(image) for image in images]

    def _read(self, path: Path) -> Images:
        picture = decode(self.source, path)
        self._noted.note(path, picture.oddity)
        if self.alike:
            check_alike(self.source, path, picture.pixels.shape, self.paths[0], self.shape)
        return picture.pixels


@dataclass(frozen=True)
class ImageArray(ImageSet):
    """The array of an .npy file, or one of an .npz file.

    Attributes:
        file: where it is.
        key: its name.
        axis: of the channels, 1 or -1; None if there is none.
        header: shape and type.
        declared: levels, if the file states them.
    """

    file: ArrayFile
    key: str
    axis: int | None
    header: Header
    declared: int | None = None

    @property
    def levels(self) -> int | None:
        """Levels that the file declares; None if it does not."""
        return self.declared

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W) of all images."""
        sides = self.header.shape[1:]
        return {None: (1, *sides), 1: sides, -1: (*sides[-1:], *sides[:-1])}[self.axis]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the array's bytes."""
        whole = hashlib.sha256()
        with self.file.opened(self.key) as stream, self.file.sound():
            while chunk := stream.read(_CHUNK):
                whole.update(chunk)
        return whole.hexdigest()

    def __len__(self) -> int:
        """Return how many images there are."""
        return self.header.shape[0]

    def _batches(self, size: int) -> Iterator[Sequence[Tensor]]:
        rows = self._whole(size) if self.header.columns_first else self._streamed(size)
        for images in rows:
            if self.axis is None:
                yield torch.from_numpy(images[:, np.newaxis])  # type: ignore[misc]
            else:
                channels_first = np.moveaxis(images, self.axis, 1)
                yield torch.from_numpy(np.ascontiguousarray(channels_first))  # type: ignore[misc]

    def _streamed(self, size: int) -> Iterator[Images]:
        n, *sides = self.header.shape
        check_memory(self.source, self.file.path, min(n, size) * math.prod(sides))
        with self.file.opened(self.key) as stream:
            with self.file.sound():
                read_header(stream)
            for start in range(0, n, size):
                images = np.empty((min(size, n - start), *sides), np.uint8)
                with self.file.sound():
                    fill(images, stream)
                    if start + len(images) == n:
                        stream.read(1)  # the checksum follows the last byte
                yield images

    def _whole(self, size: int) -> Iterator[Images]:
        """Yield batches of a column-major array, which is not contiguous by image."""
        check_memory(self.source, self.file.path, self.header.nbytes)
        with self.file.opened(self.key) as stream, self.file.sound():
            array = npy.read_array(stream, allow_pickle=False)
        for start in range(0, len(array), size):
            yield np.ascontiguousarray(array[start : start + size])


@dataclass(frozen=True)
class Statistics:
    """Mean (d,) and covariance (d, d) of images' features, as stored by clean-fid and pytorch-fid.

    Attributes:
        source: path of the file, as it was given.
    """

    source: str
    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]


def _read_ahead(batches: Iterator[Sequence[Tensor]]) -> Iterator[Sequence[Tensor]]:
    with ThreadPoolExecutor(1, "read-ahead") as reader:
        pending = reader.submit(next, batches, None)
        while (batch := pending.result()) is not None:
            pending = reader.submit(next, batches, None)
            yield batch


def open_images(source: str) -> ImageSet:
    """Return the images of a folder and its subfolders, or of an .npz or .npy file.

    Raises:
        ImageError: names what cannot be read, or a file that holds only moments.
    """
    found = open_source(source)
    if isinstance(found, Statistics):
        raise ImageError(
            f"{source}: holds the moments mu and sigma, but no images; such a file can be the "
            "reference"
        )
    return found


def open_source(source: str) -> ImageSet | Statistics:
    """Return the images of a path, or moments of features if a file holds nothing else.

    An .npz file holds images in ``images``, in ``x``, as samples of a trial, in ``arr_0`` or in its
    only array; ``levels`` may stand beside it. Without any, ``mu`` and ``sigma`` are moments.

    Raises:
        ImageError: names what cannot be read.
    """
    if not source.strip():  # which would be the current folder
        raise ImageError("'' is not a path; name a folder, an .npz or an .npy file")
    path = user_path(source, source)
    if exists(source, path, stat.S_ISDIR):
        found = find_images(source, path)
        return ImageFolder(source, found.paths, found.remarks)
    if not exists(source, path, stat.S_ISREG):
        raise ImageError(
            f"{source}: there is no such folder or file; name a folder, an .npz or an .npy file"
        )
    if path.suffix not in (".npz", ".npy"):
        raise ImageError(f"{source}: images are read from a folder, an .npz or an .npy file")
    file = ArrayFile(source, path)
    headers = file.headers()
    key = _key(source, headers)
    if key is None:
        return _statistics(file, headers)
    levels = _levels(file, headers) if "levels" in headers else None
    axis = channel_axis(source, key, headers[key].dtype, headers[key].shape)
    if not headers[key].shape[0]:
        raise ImageError(f"{source}: holds no images; needs at least one")
    return ImageArray(source, file, key, axis, headers[key], levels)


def _key(source: str, headers: dict[str, Header]) -> str | None:
    """Return the name of the array of images; None if there are moments instead."""
    statistics = set(MOMENTS) <= headers.keys()
    others = {*MOMENTS, *SPATIAL} if statistics else set()
    pictures = [
        key for key, header in headers.items() if len(header.shape) > 1 and key not in others
    ]
    for key in ("images", "x", "arr_0"):
        if key in pictures:
            return key
    if len(pictures) == 1:
        return pictures[0]
    if statistics and not pictures:
        return None
    raise ImageError(
        f"{source}: holds {', '.join(headers) or 'nothing'}; needs an array called images, x "
        "or arr_0, or one array alone"
    )


def _levels(file: ArrayFile, headers: dict[str, Header]) -> int:
    header = headers["levels"]
    found: object = f"{header.dtype} {header.shape}"
    if header.shape == ():
        found = file.read("levels").item()
    if not (isinstance(found, int) and 2 <= found <= 256):
        raise ImageError(f"{file.source}: levels is {found}; needs one integer from 2 to 256")
    return found


def _statistics(file: ArrayFile, headers: dict[str, Header]) -> Statistics:
    d = headers["mu"].shape[:1]
    shapes = tuple(headers[key].shape for key in MOMENTS)
    real = all(headers[key].dtype.kind == "f" for key in MOMENTS)
    if not real or shapes != (d, (*d, *d)):
        raise ImageError(
            f"{file.source}: mu and sigma have the shapes {shapes[0]} and {shapes[1]}; needs "
            "floats of shapes (d,) and (d, d)"
        )
    check_memory(file.source, file.path, 2 * headers["sigma"].nbytes)
    mean, covariance = (file.read(key).astype(np.float64) for key in MOMENTS)
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise ImageError(f"{file.source}: mu or sigma holds NaN or infinity; compute them again")
    return Statistics(file.source, mean, covariance)
