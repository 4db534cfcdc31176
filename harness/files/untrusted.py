"""Untrusted folders: only regular files of bounded size, and none outside."""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path
from typing import BinaryIO

from harness.errors import UserError

MEBIBYTE = 1 << 20
MOST_BYTES = 16 * MEBIBYTE
LARGE = 1024 * MEBIBYTE
"""Size limit of files that grow with the number of trials or evaluations."""
MOST_FILES = 1_000_000
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9 ._-]{0,199}")


class FileMissing(UserError):
    """There is no such file."""


def is_plain(path: str) -> bool:
    """Return whether a relative path has only plain names: none hidden, no ".."."""
    return all(_NAME.fullmatch(part) for part in path.split("/"))


class UntrustedFolder:
    """A folder from an untrusted source.

    Every file is named by a relative path with slashes, and is a regular file below the folder: no
    link is followed, so that nothing outside can be read through it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __truediv__(self, name: str) -> Path:
        """Return the path of the file ``name``.

        Raises:
            UserError: the name, or a link on the way, leads outside of the folder.
        """
        if not is_plain(name):
            raise UserError(f"{self.path}: {name!r} is not a name of a file in this folder")
        place = self.path
        for part in name.split("/"):
            place = place / part
            if place.is_symlink():
                raise UserError(f"{place} is a symbolic link, and links are not followed")
        return place

    def has(self, name: str) -> bool:
        """Return whether there is a file ``name``; a link counts, and fails when read."""
        return os.path.lexists(self.path / name)

    def read(self, name: str, limit: int = MOST_BYTES) -> bytes:
        """Return the content of a file.

        Raises:
            UserError: it is missing, larger than ``limit`` bytes, or not a regular file.
        """
        return read_regular(self / name, limit)

    def text(self, name: str, limit: int = MOST_BYTES) -> str:
        """Return the content of a file in UTF-8; errors as in ``read``."""
        try:
            return self.read(name, limit).decode("utf-8")
        except UnicodeDecodeError as error:
            raise UserError(f"{self.path / name} is not text in UTF-8: {error}") from None

    def files(self, below: str = "") -> list[str]:
        """Return the paths of all files below a folder, sorted; links to folders count as files.

        Raises:
            UserError: there are more than ``MOST_FILES``.
        """
        start = self / below if below else self.path
        found: list[str] = []
        for parent, folders, names in os.walk(start):
            links = [name for name in folders if (Path(parent) / name).is_symlink()]
            for name in (*names, *links):
                found.append((Path(parent) / name).relative_to(self.path).as_posix())
            if len(found) > MOST_FILES:
                raise UserError(f"{start} holds more than {MOST_FILES} files")
        return sorted(found)


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file, not a link, for reading.

    Raises:
        UserError: it is something else, or cannot be read; ``FileMissing`` if there is none.
    """
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        file = open(os.open(path, flags), "rb")
    except FileNotFoundError:
        raise FileMissing(f"{path} cannot be read: there is no such file") from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UserError(f"{path} is a symbolic link, and links are not followed") from None
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    # Checked on the open file: a path may be replaced between a check and its opening.
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise UserError(f"{path} is not a regular file")
    return file


def read_regular(path: Path, limit: int = MOST_BYTES) -> bytes:
    """Return the content of a regular file, not a link; errors as in ``read``."""
    with open_regular(path) as file:
        try:
            # Checked first, so that a file that is too large is not read; it may grow meanwhile.
            if os.fstat(file.fileno()).st_size <= limit:
                content = file.read(limit + 1)
                if len(content) <= limit:
                    return content
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror}") from None
    raise UserError(f"{path} is larger than {limit / MEBIBYTE:g} MiB")
