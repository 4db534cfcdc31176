"""Search folders and cache of published data sets.

First ``$GENHARNESS_DATA``, which is only read; then the user's cache, to which downloads and
unpacked archives are written.
"""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from harness_datasets.errors import DatasetError

VARIABLE = "GENHARNESS_DATA"
SILENCE = 30.0  # seconds without a byte after which a download has failed


def cache() -> Path:
    """Return the folder that the harness may write to."""
    return Path(platformdirs.user_cache_dir("genharness")) / "data"


def roots() -> list[Path]:
    """Return the folders to look in, in order."""
    own = os.environ.get(VARIABLE)
    return [Path(own).expanduser(), cache()] if own else [cache()]


def is_file(path: Path) -> bool:
    """Return whether a file exists.

    Raises:
        DatasetError: the system denies access, for example because of permissions of a parent
            folder.
    """
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise _unreadable(path, error) from error


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Convert errors of reading a file into ``DatasetError``."""
    try:
        yield
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> DatasetError:
    return DatasetError(
        f"{path} cannot be read: {error.strerror}; make it readable, or name another folder in the "
        f"environment variable {VARIABLE}"
    )


def install(produce: Callable[[Path], object]) -> None:
    """Let ``produce`` fill an empty folder, then move its files into the cache.

    Each file appears atomically, whatever other processes do meanwhile.
    """
    cache().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache(), prefix=".partial-") as folder:
        produce(Path(folder))
        for path in Path(folder).rglob("*"):
            if path.is_file():
                target = cache() / path.relative_to(folder)
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(path, target)


def download(name: str, fetch: Callable[[Path], object], missing: Sequence[str]) -> None:
    """Download into the cache, or raise an error that names the missing files and their folder.

    Args:
        name: of the data set, for the message.
        fetch: downloads into the folder it is given.
        missing: the files' paths below a root, for the message.

    Raises:
        DatasetError: if ``fetch`` raises ``OSError``, as without a network, or ``RuntimeError``.
    """
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SILENCE)
    try:
        install(fetch)
    except (OSError, RuntimeError) as error:
        raise DatasetError(
            f"{name}: its files are not on this machine and could not be downloaded "
            f"({' '.join(str(error).split())}).\n"
            f"Looked in:\n{_listed(roots())}Missing:\n{_listed(missing)}"
            f"Put the missing files, under the same names, in {cache()} or in a folder that the "
            f"environment variable {VARIABLE} names."
        ) from error
    finally:
        socket.setdefaulttimeout(patience)


def _listed(paths: Sequence[object]) -> str:
    return "".join(f"  {path}\n" for path in paths)
