"""Files of images that are damaged, mistaken or made to do harm."""

from __future__ import annotations

import io
import os
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
        kind = options.pop("format", None) or Image.registered_extensions()[path.suffix]
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
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content))
            + kind
            + content
            + struct.pack(">I", zlib.crc32(kind + content))
        )

    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    content += chunk(b"IDAT", zlib.compress(bytes(1_000))) + chunk(b"IEND", b"")

    def make(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)

    return make


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
