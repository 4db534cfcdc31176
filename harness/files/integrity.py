"""SHA256SUMS: the SHA-256 of each file of a finished trial, so that damage is detected.

The format is that of ``sha256sum``, which checks a folder with ``sha256sum -c SHA256SUMS``.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from harness.errors import UserError
from harness.files.untrusted import MOST_BYTES, FileMissing, read_regular

FILE = "SHA256SUMS"
UNSEALED = (FILE, "log.txt", "checkpoint.pt")
"""Files without an entry: a log is for people, and a checkpoint ends with its own SHA-256."""


def sums(folder: Path) -> bytes:
    """Return the content of SHA256SUMS for ``folder``, after flushing its files to the disk.

    Checksums must not survive a power cut without their files.
    """
    lines = []
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.name not in UNSEALED and not path.name.startswith("."):
            with open(path, "rb") as file:
                os.fsync(file.fileno())
                lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {path.name}\n")
    return "".join(lines).encode()


def read_sealed(path: Path, limit: int = MOST_BYTES, remedy: str = "") -> bytes:
    """Return the content of a file of a trial, verified if its folder has a SHA256SUMS.

    The folder is untrusted: no link is followed, and no more than ``limit`` bytes are read.

    Raises:
        UserError: it differs from what was written, with the ``remedy``, or cannot be read;
            ``FileMissing`` if there is no such file.
    """
    content = read_regular(path, limit)
    try:
        seal = read_regular(path.with_name(FILE))
    except FileMissing:
        return content
    line = f"{hashlib.sha256(content).hexdigest()}  {path.name}".encode()
    if line not in seal.splitlines():
        raise UserError(
            f"{path} is damaged: its SHA-256 is not the one in {FILE}; "
            + (remedy or "remove it, or its folder to run the trial again")
        )
    return content
