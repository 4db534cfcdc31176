"""The files that show what a trial made: pictures, moving pictures, recordings, texts.

Each of ``SHOWN`` may be there in several forms: ``samples.png`` and ``samples.wav``, say.
"""

from __future__ import annotations

from pathlib import Path

from harness.errors import UserError

SHOWN = {"pictures": "samples", "neighbours": "neighbours", "interpolations": "interpolation"}
"""Names of the files, without suffix, by what results and reports call them."""

SUFFIXES = {"png": "PNG", "gif": "GIF", "wav": "WAV", "txt": "text in UTF-8"}
"""What they may be."""

_SIGNATURES = {"png": b"\x89PNG\r\n\x1a\n", "gif": b"GIF8"}

FILES = tuple(f"{name}.{suffix}" for name in SHOWN.values() for suffix in SUFFIXES)


def check_media(path: Path, content: bytes) -> None:
    """Refuse a file that is something else than its suffix says.

    Raises:
        UserError: naming the file.
    """
    suffix = path.suffix[1:]
    if suffix not in SUFFIXES:
        raise UserError(f"{path} is no picture, recording or text")
    if not _is(suffix, content):
        raise UserError(f"{path} is no {SUFFIXES[suffix]}")


def _is(suffix: str, content: bytes) -> bool:
    if suffix == "txt":
        try:
            content.decode()
        except UnicodeDecodeError:
            return False
        return True
    if suffix == "wav":
        return content[:4] == b"RIFF" and content[8:12] == b"WAVE"
    return content.startswith(_SIGNATURES[suffix])
