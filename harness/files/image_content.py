"""The format of an image file by its first bytes and header, whatever its suffix."""

from __future__ import annotations

import re
from pathlib import Path

from PIL import Image

FORMATS = ("JPEG", "PNG", "PPM", "BMP", "TIFF", "WEBP")
"""Formats that are decoded, whatever the suffix: PostScript, for example, would be executed."""

_HEAD = 64
_SIGNATURES = {
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "JPEG": rb"\xff\xd8\xff",
    "WEBP": rb"RIFF.{4}WEBP",
    "TIFF": rb"II[*+]\0|MM\0[*+]",
    "BMP": rb"BM.{4}\0\0\0\0.{4}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0",
    "PPM": rb"P[1-6]\s+(#[^\n]*\n\s*)*\d",
    "GIF": rb"GIF8[79]a",
    "AVIF": rb".{4}ftypavi[fs]",
    "HEIC": rb".{4}ftyp(he[iv][a-z]|mif1|msf1)",
    "JPEG XL": rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n",
    "JPEG 2000": rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  \r\n\x87\n",
    "PFM": rb"P[Ff]\s+\d",
    "OpenEXR": rb"v/1\x01",
    "Radiance HDR": rb"#\?RADIANCE",
    "QOI": rb"qoif",
    "DDS": rb"DDS \x7c\0\0\0",
    "Photoshop": rb"8BPS\0[\1\2]",
}
_PATTERNS = {name: re.compile(pattern, re.DOTALL) for name, pattern in _SIGNATURES.items()}
_BITS_PER_SAMPLE, _EXTRA_SAMPLES, _SAMPLE_FORMAT = 258, 338, 339
_UNSIGNED = 1


def format_of(path: Path) -> str | None:
    """Return the format of the image in a regular file, one of ``FORMATS`` or another; or None.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    return next((name for name, pattern in _PATTERNS.items() if pattern.match(head)), None)


def lost_by_decoding(image: Image.Image) -> str | None:
    """Return what an opened image, not loaded yet, would lose in 8 bits per channel.

    Pillow does not warn: 16 bits per colour become 8, and extra channels of a TIFF are dropped.
    """
    bits, tags = 8, None
    raw = [tile.args for tile in getattr(image, "tile", ())]  # how the decoder is to read them
    if image.format == "PNG":
        bits = 16 if raw and str(raw[0]).endswith(";16B") else 8
    elif image.format == "PPM" and raw and isinstance(raw[0], tuple):  # mode and largest value
        bits = max((part for part in raw[0] if isinstance(part, int)), default=0).bit_length()
    elif image.format == "TIFF":
        tags = getattr(image, "tag_v2", {})
        bits = max(tags.get(_BITS_PER_SAMPLE, (1,)))
    if bits > 8:
        return f"{bits} bits per channel"
    if tags is not None and tags.get(_EXTRA_SAMPLES):
        return "further channels"
    if tags is not None and set(tags.get(_SAMPLE_FORMAT, (_UNSIGNED,))) != {_UNSIGNED}:
        return "signed values"
    return None
