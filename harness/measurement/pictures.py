"""Grids of images as PNG."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def pairs_png(
    left: NDArray[np.uint8], right: NDArray[np.uint8], levels: int, columns: int = 5
) -> bytes:
    """Return pairs of images side by side as a PNG grid, with a white column between pairs.

    Args:
        left: uint8 (N, C, H, W), as in ``grid_png``.
        right: the other image of each pair.
        levels: mapped to [0, 255].
        columns: pairs in a row of the grid.
    """
    white = np.full_like(left[..., :1], levels - 1)
    pairs = np.concatenate([left, right, white], axis=3)
    return grid_png(pairs, levels, columns, rows=-(-len(pairs) // columns))


def grid_png(images: NDArray[np.uint8], levels: int, columns: int = 10, rows: int = 6) -> bytes:
    """Return the first images as a PNG grid, one pixel of white between them.

    Args:
        images: uint8 (N, C, H, W) with values in [0, levels); C is 1 or 3, or else the first
            channel is shown.
        levels: mapped to [0, 255].
        columns: images in a row of the grid.
        rows: at most.
    """
    n, channels, height, width = images.shape
    n = min(n, columns * rows)
    shown = images[:n] if channels == 3 else images[:n, :1].repeat(3, axis=1)
    pixels = np.rint(shown * (255 / (levels - 1))).astype(np.uint8)
    rows = -(-n // columns)
    canvas = np.full((rows * (height + 1) + 1, columns * (width + 1) + 1, 3), 255, np.uint8)
    for index, image in enumerate(pixels):
        top = 1 + index // columns * (height + 1)
        left = 1 + index % columns * (width + 1)
        canvas[top : top + height, left : left + width] = image.transpose(1, 2, 0)
    file = io.BytesIO()
    Image.fromarray(canvas).save(file, format="PNG")
    return file.getvalue()
