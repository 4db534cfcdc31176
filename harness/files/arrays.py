"""Arrays in .npz and .npy files, read as far as needed, without unpickling anything."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from harness.errors import quoted
from harness.files.images import ImageError, Images, unreadable, unsound


class Header(NamedTuple):
    """The header of an array."""

    shape: tuple[int, ...]
    columns_first: bool
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        """Bytes of the whole array."""
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True)
class ArrayFile:
    """An .npz or .npy file.

    Attributes:
        source: its path, as it was given.
        path: where it is.
    """

    source: str
    path: Path

    @contextmanager
    def sound(self) -> Iterator[None]:
        """Convert errors of reading, which depend on the damage, into an ``ImageError``."""
        try:
            yield
        except ImageError:
            raise
        except PermissionError as error:
            raise unreadable(self.source, self.path, error) from error
        except Exception as error:
            raise unsound(self.source, self.path, self.path.suffix[1:], error) from error

    @contextmanager
    def opened(self, key: str) -> Iterator[IO[bytes]]:
        """Open the bytes of one array."""
        if self.path.suffix == ".npy":
            with self.path.open("rb") as stream:
                yield stream
            return
        with zipfile.ZipFile(self.path) as archive, archive.open(f"{key}.npy") as stream:
            yield stream

    def headers(self) -> dict[str, Header]:
        """Return the headers of all arrays by name; that of an .npy file is "the array".

        Raises:
            ImageError: the file is damaged, or holds anything else.
        """
        with self.sound():
            sizes = {"the array": self.path.stat().st_size}
            if self.path.suffix == ".npz":
                with zipfile.ZipFile(self.path) as archive:
                    sizes = {member.filename: member.file_size for member in archive.infolist()}
            elif zipfile.is_zipfile(self.path):
                raise ImageError(f"{self.source}: {self.path} is an .npz file; rename it")
            return {name.removesuffix(".npy"): self._header(name, n) for name, n in sizes.items()}

    def read(self, key: str) -> NDArray[Any]:
        """Return one array whole, without unpickling anything."""
        with self.opened(key) as stream, self.sound():
            array: NDArray[Any] = npy.read_array(stream, allow_pickle=False)
            return array

    def _header(self, name: str, size: int) -> Header:
        if self.path.suffix == ".npz" and not name.endswith(".npy"):
            raise ValueError(f"{quoted(name)} is not an array")
        with self.opened(name.removesuffix(".npy")) as stream:
            try:
                header = read_header(stream)
            except ValueError as error:
                raise ValueError(f"{quoted(name)}: {error}") from error
            if header.dtype.hasobject or min(header.shape, default=0) < 0:
                raise ValueError(f"{quoted(name)} is {header.dtype} {header.shape}")
            if stream.tell() + header.nbytes > size:
                raise ValueError(f"{quoted(name)} is cut short")
        return header


def read_header(stream: IO[bytes]) -> Header:
    """Read an array's header, and leave the stream behind it.

    Raises:
        ValueError: they are not those of an array.
    """
    version = npy.read_magic(stream)
    read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f"version {version} of the format is not supported")
    return Header(*read(stream))


def fill(images: Images, stream: IO[bytes]) -> None:
    """Read the next bytes of a stream into an array.

    Raises:
        ValueError: there are fewer.
    """
    content = images.data.cast("B")
    if stream.readinto(content) != len(content):  # type: ignore[attr-defined]
        raise ValueError("it is cut short")
