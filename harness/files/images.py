"""Images in files: PNG and other formats, and arrays in .npz and .npy.

Every function takes ``name``, what error messages begin with.
"""

from __future__ import annotations

import stat
import warnings
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar

import numpy as np
import psutil
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from harness.errors import UserError, quoted
from harness.files.image_content import FORMATS, format_of, lost_by_decoding
from harness.files.image_oddities import Oddities, Oddity, oddity_of

Images = NDArray[np.uint8]
T = TypeVar("T")

SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
"""Suffixes of image files; other files are recognised by their content."""
CHANNELS = (1, 3)
_MODES = ("1", "L", "P", "RGB")
GIBIBYTE = 2**30
# Here, not per file: filters are global to the process, and files are read in threads too.
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)


class ImageError(UserError):
    """An image file cannot be read; the message names the file and what is expected."""


class Picture(NamedTuple):
    """One decoded file.

    Attributes:
        pixels: uint8 (C, H, W).
        oddity: unusual properties.
    """

    pixels: Images
    oddity: Oddity


def user_path(name: str, text: str) -> Path:
    """Return a user's path, with "~" expanded.

    Raises:
        ImageError: there is no such home, or a path cannot contain such characters.
    """
    if "\0" in text:
        raise ImageError(
            f"{name}: a path cannot contain the character NUL; name a file or a folder"
        )
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise ImageError(f"{name}: there is no such user; write the path in full") from None


def exists(name: str, path: Path, is_kind: Callable[[int], bool]) -> bool:
    """Return whether a path is of a kind, ``stat.S_ISREG`` for example.

    Raises:
        ImageError: the system denies access, for example because of permissions of a parent folder.
    """
    try:
        return is_kind(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError, UnicodeError):
        return False
    except OSError as error:
        raise unreadable(name, path, error) from error


def read_images(name: str, paths: Sequence[Path], oddities: Oddities | None = None) -> Images:
    """Decode files to uint8 (N, C, H, W): all of one size, and all grey or all RGB.

    Raises:
        ImageError: names the file that is damaged or unlike the first.
    """
    first = decode(name, paths[0]).pixels
    check_memory(name, paths[0].parent, len(paths) * first.nbytes)
    images = np.empty((len(paths), *first.shape), dtype=np.uint8)
    for place, path in enumerate(paths):
        picture = decode(name, path)
        check_alike(name, path, picture.pixels.shape, paths[0], first.shape)
        images[place] = picture.pixels
        if oddities:
            oddities.note(path, picture.oddity)
    return images


def check_alike(
    name: str, path: Path, shape: Sequence[int], first: Path, expected: Sequence[int]
) -> None:
    """Raise ``ImageError`` unless an image has the shape (C, H, W) of the first one."""
    if tuple(shape) != tuple(expected):
        raise ImageError(
            f"{name}: {path} is {describe_shape(shape)}, but {first} is "
            f"{describe_shape(expected)}; all images have one size and number of channels"
        )


def read_array_file(name: str, path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of an .npz file, without unpickling anything.

    Raises:
        ImageError: it is damaged or missing.
    """
    try:
        with zipfile.ZipFile(path) as members:
            unpacked = sum(member.file_size for member in members.infolist())
        check_memory(name, path, unpacked)
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive}
    except ImageError:
        raise
    except PermissionError as error:
        raise unreadable(name, path, error) from error
    # The exceptions of numpy and zipfile depend on the damage.
    except Exception as error:
        raise unsound(name, path, "npz", error) from error
    if others := [key for key, array in arrays.items() if not isinstance(array, np.ndarray)]:
        raise unsound(name, path, "npz", f"{quoted(others[0])} is not an array")
    return arrays


def channels_first(name: str, key: str, images: NDArray[Any]) -> Images:
    """Return an array of images as uint8 (N, C, H, W).

    Raises:
        ImageError: it is not uint8 (N, H, W), (N, H, W, C) or (N, C, H, W) with C of 1 or 3.
    """
    if channel_axis(name, key, images.dtype, images.shape) == 1:
        return images
    if images.ndim == 3:
        return images[:, np.newaxis]
    return np.ascontiguousarray(np.moveaxis(images, -1, 1))


def channel_axis(name: str, key: str, dtype: Any, shape: Sequence[int]) -> int | None:
    """Return which axis of an array of images holds the channels, 1 or -1; None if none does.

    Raises:
        ImageError: it is not uint8 (N, H, W), (N, H, W, C) or (N, C, H, W) with C of 1 or 3.
    """
    wrong = f"{name}: {key} is {dtype} {tuple(shape)}; "
    if dtype != np.uint8:
        raise ImageError(wrong + "needs uint8, integers in [0, levels): scale and round it first")
    if 0 in shape[1:]:
        raise ImageError(wrong + "needs images of at least one pixel")
    if len(shape) == 3:
        return None
    first, last = (len(shape) == 4 and shape[axis] in CHANNELS for axis in (1, -1))
    if first == last:
        raise ImageError(
            wrong + "needs (N, H, W), (N, H, W, C) or (N, C, H, W), where C and only C is 1 or 3"
        )
    return 1 if first else -1


def describe_shape(shape: Sequence[int]) -> str:
    """Describe images of shape (C, H, W): "28x28 grey"."""
    channels, height, width = shape
    colour = {1: "grey", 3: "RGB"}.get(channels, f"with {channels} channels")
    return f"{height}x{width} {colour}"


def decode(name: str, path: Path) -> Picture:
    """Decode one file to uint8 (C, H, W).

    Raises:
        ImageError: it is damaged, or not a grey or RGB image with at most 8 bits per channel.
    """
    return _with_image(name, path, _picture)


def examine(name: str, path: Path) -> Oddity:
    """Return unusual properties of a file, without decoding its pixels; errors as in ``decode``."""
    return _with_image(name, path, oddity_of)


def _picture(image: Image.Image, file: BinaryIO) -> Picture:
    lost = lost_by_decoding(image)
    image.load()
    if (frames := getattr(image, "n_frames", 1)) > 1:
        raise _Refused(f"has {frames} frames; save each as a file")
    what = " with transparency" if image.has_transparency_data else ""
    if what or lost or image.mode not in _MODES:
        what = f" with {lost}" if lost and image.mode in _MODES else what
        raise _Refused(
            f"has mode {image.mode}{what}; only grey and RGB with 8 bits per channel are read: "
            "convert it first"
        )
    pixels = np.asarray(image.convert("L" if image.mode in ("1", "L") else "RGB"))
    channels_first = pixels[np.newaxis] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)
    return Picture(channels_first, oddity_of(image, file))


class _Refused(Exception):
    """An image is not supported; the message continues after the file's name."""


def _with_image(name: str, path: Path, use: Callable[[Image.Image, BinaryIO], T]) -> T:
    """Open an image for a function, and convert any error into an ``ImageError``."""
    check_file(name, path)
    try:
        with open(path, "rb") as file, Image.open(file, formats=FORMATS) as image:
            return use(image, file)
    except _Refused as error:
        raise ImageError(f"{name}: {path} {error}") from None
    except UnidentifiedImageError as error:
        content = format_of(path)
        is_other = content is not None and content not in FORMATS
        what = f"it is {content}, which is not decoded" if is_other else str(error)
        raise ImageError(
            f"{name}: {path} cannot be decoded: {what}; write it again or remove it"
        ) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(
            f"{name}: {path} is not decoded: {error}; images have at most "
            f"{Image.MAX_IMAGE_PIXELS} pixels"
        ) from error
    except PermissionError as error:
        raise unreadable(name, path, error) from error
    # Pillow's exception depends on the format and the damage.
    except Exception as error:
        raise ImageError(
            f"{name}: {path} cannot be decoded: {error}; write it again or remove it"
        ) from error


def check_file(name: str, path: Path) -> None:
    """Raise ``ImageError`` for what cannot be read, or would block, such as a pipe."""
    if not exists(name, path, stat.S_ISREG):
        raise ImageError(f"{name}: {path} cannot be read, it is not a regular file; remove it")


def unreadable(name: str, path: Path, error: OSError) -> ImageError:
    """Return the error for a file or folder that the system refuses to read."""
    return ImageError(
        f"{name}: {path} cannot be read: {error.strerror}; make it readable or remove it"
    )


def check_memory(name: str, path: Path, unpacked: int) -> None:
    """Raise ``ImageError`` if images of so many bytes exceed the free memory."""
    free = psutil.virtual_memory().available
    if unpacked > free:
        raise ImageError(
            f"{name}: {path} holds {unpacked / GIBIBYTE:.3g} GiB unpacked; at most "
            f"{free / GIBIBYTE:.3g} GiB fit into the free memory"
        )


def unsound(name: str, path: Path, kind: str, why: object) -> ImageError:
    """Return the error of a damaged .npz or .npy file."""
    again = "numpy.savez" if kind == "npz" else "numpy.save"
    return ImageError(f"{name}: {path} is not a valid .{kind} file: {why}; write it with {again}")
