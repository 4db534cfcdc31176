"""Images as a grid, in a PNG."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harness.contract import ArraySpec

COLUMNS = 10
MOST = 60
WHITE = 255


def perceptible(x: NDArray[np.uint8], spec: ArraySpec) -> NDArray[np.uint8]:
    """Return the pixels (..., H, W, 3) of images (..., C, H, W).

    C is 1 or 3, or else the first channel is shown; [0, levels) becomes [0, 255].
    """
    shown = x if x.shape[-3] == 3 else x[..., :1, :, :].repeat(3, axis=-3)
    gray = np.rint(np.arange(spec.levels) * (255 / max(spec.levels - 1, 1))).astype(np.uint8)
    pixels: NDArray[np.uint8] = gray[np.moveaxis(shown, -3, -1)]
    return pixels


def paired(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return pixels side by side, with a white column after each pair; the lower is filled up."""
    height = max(left.shape[-3], right.shape[-3])
    left, right = (_filled(pixels, height) for pixels in (left, right))
    return np.concatenate([left, right, np.full_like(right[..., :1, :], WHITE)], axis=-2)


def files(pixels: NDArray[np.uint8], spec: ArraySpec, columns: int) -> dict[str, bytes]:
    """Return the grid of pixels (N, H, W, 3) as "png"."""
    return {"png": png(grid(pixels, columns))}


def grid(pixels: NDArray[np.uint8], columns: int) -> NDArray[np.uint8]:
    """Return pictures (N, H, W, ...) in rows, with one pixel of white around each."""
    n, height, width, *channels = pixels.shape
    rows = -(-n // columns)
    sides = (rows * (height + 1) + 1, columns * (width + 1) + 1)
    canvas = np.full((*sides, *channels), WHITE, np.uint8)
    for index, picture in enumerate(pixels):
        top = 1 + index // columns * (height + 1)
        left = 1 + index % columns * (width + 1)
        canvas[top : top + height, left : left + width] = picture
    return canvas


def png(pixels: NDArray[Any]) -> bytes:
    """Return pixels (H, W) or (H, W, 3) as a PNG."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue()


def _filled(pixels: NDArray[np.uint8], height: int) -> NDArray[np.uint8]:
    """Return pixels (..., H, W, 3) with white below, up to a height."""
    below = [(0, 0)] * pixels.ndim
    below[-3] = (0, height - pixels.shape[-3])
    return np.pad(pixels, below, constant_values=WHITE)
