"""Published weights: downloaded on first use, verified, kept in the user's cache."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from filelock import FileLock

from harness.errors import UserError
from harness.features.cache import VARIABLE, cache_root

SILENCE = 30.0  # seconds without a byte after which a download has failed
_CHUNK = 2**20


class WeightsError(UserError):
    """Published weights are not available; the message names the file and its place."""


@dataclass(frozen=True)
class PublishedWeights:
    """One file of weights, identified by its hash.

    Attributes:
        name: of the file in the cache.
        address: where it is published.
        sha256: of its content; nothing else is ever loaded.
    """

    name: str
    address: str
    sha256: str

    @property
    def path(self) -> Path:
        """Path of the file in the cache."""
        return cache_root() / "weights" / self.name

    def fetch(self) -> Path:
        """Return the path of the file, downloaded if it is missing, with its hash verified.

        Concurrent processes wait for the first one's download, which is renamed into place
        atomically.

        Raises:
            WeightsError: it is missing and cannot be downloaded, or its content differs.
        """
        if not self.path.is_file():
            try:
                self._download()
            except (OSError, ValueError) as error:
                raise WeightsError(self._missing(error)) from error
        if (found := _sha256(self.path)) != self.sha256:
            raise WeightsError(
                f"{self.path} is not the published file: its SHA-256 is {found}, not "
                f"{self.sha256}; remove it or put the published one there ({self.address})"
            )
        return self.path

    def _download(self) -> None:
        folder = self.path.parent
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{self.name}.lock"):
            if self.path.is_file():
                return
            with tempfile.TemporaryDirectory(dir=folder, prefix=".partial-") as draft:
                whole = Path(draft) / self.name
                _copy(self.address, whole)
                if (found := _sha256(whole)) != self.sha256:
                    raise ValueError(f"the SHA-256 of the download is {found}, not {self.sha256}")
                os.replace(whole, self.path)

    def _missing(self, error: Exception) -> str:
        cause = error.reason if isinstance(error, URLError) else error
        return (
            f"the weights {self.name} are not on this machine and could not be downloaded from "
            f"{self.address} ({cause}).\nPut the file in {self.path.parent} under that name; its "
            f"SHA-256 is {self.sha256}.\nThe environment variable {VARIABLE} can name another "
            "cache folder."
        )


def load_script(weights: PublishedWeights) -> Any:
    """Load a TorchScript file, on the CPU.

    Such a file is a program, not mere numbers: it is loaded only after its hash is verified.
    """
    import torch

    path = str(weights.fetch())
    return torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]


def _copy(address: str, target: Path) -> None:
    """Download to a file, with a progress bar where there is a terminal.

    Raises:
        OSError: the connection failed, or broke off before the announced length.
    """
    from rich.console import Console
    from rich.progress import Progress

    # The addresses are constants of this package.
    with urlopen(address, timeout=SILENCE) as source, target.open("wb") as file:  # nosec B310
        announced = source.headers.get("Content-Length")
        total = int(announced) if announced else None
        with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
            task = progress.add_task(target.name, total=total)
            while chunk := source.read(_CHUNK):
                file.write(chunk)
                progress.advance(task, len(chunk))
        if total is not None and file.tell() != total:
            raise OSError(f"{file.tell()} of {total} bytes were received")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
