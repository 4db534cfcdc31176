"""Files of images that are damaged, mistaken or made to do harm."""

from __future__ import annotations

import io
import os
import socket
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

Make = Callable[[Path], object]


def together(*makers: Make) -> Make:
    """Return what makes all of them."""

    def make(folder: Path) -> None:
        for maker in makers:
            maker(folder)

    return make


def picture(name: str, size=(8, 8), mode: str = "L", cut: int | None = None, **options) -> Make:
    """Return what writes one picture, or its first ``cut`` bytes, at a path below the folder."""

    def make(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        kind = options.pop("format", None) or Image.registered_extensions()[path.suffix.lower()]
        file = io.BytesIO()
        Image.new(mode, size).save(file, kind, **options)
        path.write_bytes(file.getvalue()[:cut])

    return make


def animation(name: str) -> Make:
    """Return what writes a picture that moves."""
    frames = [Image.new("L", (8, 8), shade) for shade in (0, 90, 180)]

    def make(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        frames[0].save(folder / name, save_all=True, append_images=frames[1:])

    return make


def png_bomb(name: str, side: int) -> Make:
    """Return what writes a small PNG that says it is ``side`` pixels wide and high."""
    return _png(name, (side, side, 8, 0, 0, 0, 0), bytes(1_000))


def deep_png(name: str) -> Make:
    """Return what writes an 8x8 PNG with 16 bits for each of red, green and blue."""
    return _png(name, (8, 8, 16, 2, 0, 0, 0), bytes(8 * (1 + 8 * 6)))


def interlaced_png(name: str, value: int) -> Make:
    """Return what writes a grey 1x1 PNG in Adam7's seven passes, of which one is not empty."""
    return _png(name, (1, 1, 8, 0, 0, 0, 1), bytes([0, value]))


def _png(name: str, header: tuple[int, ...], pixels: bytes) -> Make:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content))
            + kind
            + content
            + struct.pack(">I", zlib.crc32(kind + content))
        )

    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", *header))
    content += chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")
    return raw(name, content)


def raw(name: str, content: bytes) -> Make:
    """Return what writes some bytes."""

    def make(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)

    return make


def tiff(name: str, bits: int, channels: int, sample_format: int = 1) -> Make:
    """Return what writes an 8x8 TIFF: grey, RGB, or RGB with further channels that mean nothing."""
    colours = min(channels, 3)
    tags = {
        256: [8],
        257: [8],
        258: [bits] * channels,
        259: [1],
        262: [2 if colours == 3 else 1],
        273: [0],
        277: [channels],
        278: [8],
        279: [8 * 8 * channels * bits // 8],
        338: [0] * (channels - colours),
        339: [sample_format] * channels,
    }
    tags = {tag: values for tag, values in tags.items() if values}
    after = 8 + 2 + 12 * len(tags) + 4
    long = b""
    places = {}
    for tag, values in tags.items():
        if len(values) > 2:
            places[tag] = after + len(long)
            long += struct.pack(f"<{len(values)}H", *values)
    tags[273] = [after + len(long)]
    entries = b""
    for tag, values in tags.items():
        entries += struct.pack("<HHI", tag, 3, len(values))
        inline = struct.pack(f"<{len(values)}H", *values).ljust(4, b"\0")
        entries += struct.pack("<I", places[tag]) if tag in places else inline
    head = b"II*\0" + struct.pack("<IH", 8, len(tags))
    pixels = bytes(8 * 8 * channels * bits // 8)
    return raw(name, head + entries + bytes(4) + long + pixels)


def link(name: str, target: str) -> Make:
    """Return what makes a symbolic link."""

    def make(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(target)

    return make


def pipe(name: str) -> Make:
    """Return what makes a named pipe, that nobody writes to."""

    def make(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(folder / name)

    return make


def unix_socket(name: str) -> Make:
    """Return what makes a socket, that nobody listens at."""

    def make(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(os.path.relpath(folder / name))  # a path is short, or none

    return make


def arrays(name: str, **content) -> Make:
    """Return what writes an .npz file."""
    return lambda folder: np.savez_compressed(folder / name, **content)


def array(name: str, content) -> Make:
    """Return what writes an .npy file."""
    return lambda folder: np.save(folder / name, content, allow_pickle=True)


class Trap:
    """Unpickled, it leaves a file called "trapped"."""

    def __reduce__(self):
        return open, ("trapped", "w")


def npz_bomb(name: str, header_shape: str, content: bytes = b"") -> Make:
    """Return what writes an .npz whose array says it has another shape than it has bytes."""
    head = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {header_shape}, }}"
    head = head.ljust(118 - 1) + "\n"
    raw = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + content

    def make(folder: Path) -> None:
        with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("images.npy", raw)

    return make


def zip_bomb(name: str) -> Make:
    """Return what writes an .npz that says it unpacks to 64 TiB."""

    def make(folder: Path) -> None:
        with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("images.npy", bytes(1_000))
            archive.infolist()[0].file_size = 2**46

    return make


def zipped(name: str, **members: bytes) -> Make:
    """Return what writes a zip file of raw members."""

    def make(folder: Path) -> None:
        with zipfile.ZipFile(folder / name, "w") as archive:
            for member, content in members.items():
                archive.writestr(member, content)

    return make
