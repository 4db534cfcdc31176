"""Properties of image files that pixels do not show: lossy compression and EXIF orientation."""

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
    """Properties of a file that its pixels do not show.

    Attributes:
        lossy: the lossy format, "JPEG" for example; None if lossless.
        turned: whether viewers rotate or mirror it because of its EXIF data; pixels are as stored.
    """

    lossy: str | None
    turned: bool


class Oddities:
    """Such properties of the files of a folder.

    Attributes:
        seen: the files that were examined.
    """

    def __init__(self) -> None:
        self.seen: set[Path] = set()
        self._lossy: dict[Path, str] = {}
        self._turned: set[Path] = set()

    def note(self, path: Path, oddity: Oddity) -> None:
        """Record the properties of a file, once."""
        self.seen.add(path)
        if oddity.lossy:
            self._lossy[path] = oddity.lossy
        if oddity.turned:
            self._turned.add(path)

    @property
    def lossy(self) -> dict[str, int]:
        """Number of lossy files by format."""
        return dict(Counter(self._lossy[path] for path in sorted(self._lossy)))

    def undeclared(self, name: str) -> list[str]:
        """Return a sentence if files are lossy without a suffix of JPEG."""
        paths = [path for path in self._lossy if path.suffix.lower() not in _JPEG]
        if not paths:
            return []
        kinds = " or ".join(sorted({self._lossy[path] for path in paths}))
        return [f"{name}: {len(paths)} files, such as {min(paths)}, are {kinds}, which are lossy"]

    def turned(self, name: str) -> list[str]:
        """Return a sentence if there are files that viewers rotate or mirror."""
        if not self._turned:
            return []
        return [
            f"{name}: {len(self._turned)} files, such as {min(self._turned)}, have an EXIF "
            "orientation; their pixels are read as they are stored"
        ]


def oddity_of(image: Image.Image, file: BinaryIO) -> Oddity:
    """Return the properties of an image that was opened from a file."""
    return Oddity(_lossy_format(image, file), _is_to_be_turned(image))


def _lossy_format(image: Image.Image, file: BinaryIO) -> str | None:
    """Return the lossy format of an image, or None if it is lossless."""
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
    """Return whether viewers rotate or mirror an image because of its EXIF data.

    A TIFF, whose format includes the orientation, was already rotated by Pillow.
    """
    if image.format == "TIFF" or _EXIF.isdisjoint(image.info):
        return False
    try:
        return int(image.getexif().get(_ORIENTATION, 1)) != 1
    # Pillow's exception depends on the damage, and the pixels are intact.
    except Exception:
        return False
