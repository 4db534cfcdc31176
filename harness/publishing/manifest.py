"""MANIFEST.json: the files of a report folder with their SHA-256."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from harness.errors import UserError
from harness.files.untrusted import UntrustedFolder, is_plain

MANIFEST_NAME = "MANIFEST.json"
WRITERS = (
    "genharness",
    "altair",
    "jinja2",
    "numpy",
    "pandas",
    "pyarrow",
    "tabulate",
    "vl-convert-python",
)
"""Packages on whose versions the bytes of a report depend."""


class Manifest(BaseModel):
    """The content of MANIFEST.json.

    Attributes:
        benchmark: name.
        summary: one line.
        formats: main file of each format, by its name.
        written_with: versions of ``WRITERS``.
        files: SHA-256 by path, of every file but the manifest.
    """

    model_config = ConfigDict(extra="forbid")

    schema_version: int = 1
    benchmark: str
    summary: str
    formats: dict[str, str]
    written_with: dict[str, str]
    files: dict[str, str]

    def write(self, folder: Path) -> None:
        """Write it in a folder."""
        text = json.dumps(self.model_dump(), indent=2, sort_keys=True, ensure_ascii=False)
        (folder / MANIFEST_NAME).write_text(text + "\n", encoding="utf-8")


def read_manifest(folder: UntrustedFolder) -> Manifest:
    """Return the manifest of a report folder.

    Raises:
        UserError: there is none, or it is damaged.
    """
    place = folder.path / MANIFEST_NAME
    if not folder.has(MANIFEST_NAME):
        raise UserError(
            f"{folder.path} is not a report folder: it has no {MANIFEST_NAME}; name one that "
            "'harness report' wrote"
        )
    try:
        manifest = Manifest.model_validate_json(folder.read(MANIFEST_NAME))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{place} is damaged: {where}: {first['msg']}") from None
    for path in manifest.files:
        if not is_plain(path):
            raise UserError(f"{place}: {path!r} is not a path of a file in this folder")
    return manifest


def writers() -> dict[str, str]:
    """Return the installed versions of ``WRITERS``."""
    found = {}
    for name in WRITERS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def sha256(content: bytes) -> str:
    """Return the SHA-256 in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()
