"""What is odd about image files, and nobody would see in their pixels: detail lost, or turned."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import BinaryIO, NamedTuple

from PIL import Image

_JPEG = (".jpg", ".jpeg", ".jpe", ".jfif")
_LOSSY_IN_TIFF = ("jpeg", "tiff_jpeg", "webp")
_ORIENTATION = 274
_EXIF = frozenset({"exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp"})


class Oddity(NamedTuple):
    """What is odd about a file, and nobody would see in its pixels.

    Attributes:
        lossy: the format that has lost detail, "JPEG" for example; None if none has.
        turned: whether viewers turn it, as its EXIF data says; the pixels are as they are stored.
    """

    lossy: str | None
    turned: bool


class Oddities:
    """What is odd about the files of a folder.

    Attributes:
        seen: the files that were looked at.
    """

    def __init__(self) -> None:
        self.seen: set[Path] = set()
        self._lossy: dict[Path, str] = {}
        self._turned: set[Path] = set()

    def note(self, path: Path, oddity: Oddity) -> None:
        """Note what is odd about a file; of one that is read again, nothing new."""
        self.seen.add(path)
        if oddity.lossy:
            self._lossy[path] = oddity.lossy
        if oddity.turned:
            self._turned.add(path)

    @property
    def lossy(self) -> dict[str, int]:
        """How many files have lost detail, by the format that did it."""
        return dict(Counter(self._lossy[path] for path in sorted(self._lossy)))

    def undeclared(self, name: str) -> list[str]:
        """Return a sentence if files have lost detail without the suffix of JPEG to say so."""
        paths = [path for path in self._lossy if path.suffix.lower() not in _JPEG]
        if not paths:
            return []
        kinds = " or ".join(sorted({self._lossy[path] for path in paths}))
        return [
            f"{name}: {len(paths)} files, such as {min(paths)}, are {kinds}, whose compression has "
            "lost detail"
        ]

    def turned(self, name: str) -> list[str]:
        """Return a sentence if there are files that viewers turn."""
        if not self._turned:
            return []
        return [
            f"{name}: {len(self._turned)} files, such as {min(self._turned)}, are to be turned or "
            "mirrored, as their EXIF data says; their pixels are read as they are stored"
        ]


def oddity_of(image: Image.Image, file: BinaryIO) -> Oddity:
    """Return what is odd about an image that was opened from a file."""
    return Oddity(_lossy_format(image, file), _is_to_be_turned(image))


def _lossy_format(image: Image.Image, file: BinaryIO) -> str | None:
    """Return by which format an image lost detail when it was compressed, or None if it did not."""
    if image.format == "JPEG":
        return "JPEG"
    if image.format == "TIFF" and image.info.get("compression") in _LOSSY_IN_TIFF:
        return "JPEG in TIFF" if "jpeg" in image.info["compression"] else "WebP in TIFF"
    if image.format == "WEBP" and _has_lossy_chunk(file):
        return "lossy WebP"
    return None


def _has_lossy_chunk(file: BinaryIO) -> bool:
    """Return whether the pixels of a WebP file are in a chunk "VP8 ", and not in one "VP8L"."""
    file.seek(12)
    while len(header := file.read(8)) == 8:
        if header.startswith(b"VP8 "):
            return True
        if header.startswith(b"VP8L"):
            return False
        size = int.from_bytes(header[4:], "little")
        file.seek(size + size % 2, 1)
    return False


def _is_to_be_turned(image: Image.Image) -> bool:
    """Return whether viewers turn or mirror an image because its EXIF data says so.

    Of a TIFF, where that belongs to the format, Pillow has turned it.
    """
    if image.format == "TIFF" or _EXIF.isdisjoint(image.info):
        return False
    try:
        return int(image.getexif().get(_ORIENTATION, 1)) != 1
    # What Pillow raises depends on the damage, and the pixels are sound.
    except Exception:
        return False
