"""A trial's checkpoint on disk: complete or absent, and verified by its hash."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import torch

FILE = "checkpoint.pt"

_DIGEST = hashlib.sha256().digest_size


class DamagedCheckpoint(Exception):
    """The file differs from what was written."""


def save_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Write ``checkpoint.pt``: what ``torch.save`` makes of ``state``, then the SHA-256 of that.

    ``torch.load`` ignores the digest. Until the new file is complete and on the disk, the old one
    stays. A missing folder, removed by a plugin or a user, is recreated.

    Raises:
        OSError: the disk is full, for instance; the old file is as it was.
    """
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{FILE}.{os.getpid()}"
    try:
        with open(temporary, "w+b") as file:
            _save(state, file)
            file.flush()
            file.seek(0)
            file.write(hashlib.file_digest(file, "sha256").digest())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(folder / FILE)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def load_checkpoint(folder: Path, device: torch.device) -> dict[str, Any] | None:
    """Return the state in ``checkpoint.pt``, its tensors on ``device``; None if there is no file.

    Raises:
        DamagedCheckpoint: its content is not what was written.
    """
    path = folder / FILE
    if not path.exists():
        return None
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END) - _DIGEST
        if size < 0:
            raise DamagedCheckpoint(f"{path} is damaged: it is cut short")
        file.seek(size)
        written = file.read()
        if _digest(file, size) != written:
            raise DamagedCheckpoint(f"{path} is damaged: its SHA-256 is not what was written")
        file.seek(0)
        state: dict[str, Any] = torch.load(file, map_location=device, weights_only=True)
    return state


def _save(state: dict[str, Any], file: Any) -> None:
    try:
        torch.save(state, file)
    except RuntimeError as error:
        # torch's error for a failed write does not give the cause.
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise


def _digest(file: Any, size: int) -> bytes:
    """Return the SHA-256 of the first ``size`` bytes of a file."""
    digest = hashlib.sha256()
    file.seek(0)
    while size and (block := file.read(min(size, 2**20))):
        digest.update(block)
        size -= len(block)
    return digest.digest()
