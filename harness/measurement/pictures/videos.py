"""Videos as strips of frames in a PNG, a row each, and as a grid of moving pictures in a GIF."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harness.contract import ArraySpec
from harness.measurement.pictures import images

COLUMNS = 4
MOST = 12
RATE = 8.0
"""Frames per second of videos that do not say theirs."""
FRAMES = 16
"""Of a strip, evenly chosen from a video that has more."""
PIXELS = 2**22
"""Of all frames of a GIF; of longer or larger videos fewer are shown, and of one its beginning."""

perceptible = images.perceptible


def paired(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return videos side by side; an image is a video that stands still."""
    frames = right.shape[1]
    moving = left if left.ndim == right.ndim else left[:, None].repeat(frames, axis=1)
    length = max(frames, moving.shape[1])
    return images.paired(*(_held(videos, length) for videos in (moving, right)))


def files(pixels: NDArray[np.uint8], spec: ArraySpec, columns: int) -> dict[str, bytes]:
    """Return the strips of pixels (N, T, H, W, 3) as "png" and their moving grid as "gif"."""
    _, length, height, width, _ = pixels.shape
    pixels = pixels[: max(PIXELS // (length * height * width), 1)]
    some = np.linspace(0, length - 1, min(length, FRAMES)).round().astype(int)
    strips = pixels[:, some].reshape(-1, height, width, 3)
    moving = pixels[:, : max(PIXELS // (height * width), 1)].swapaxes(0, 1)
    frames = [images.grid(frame, min(columns, len(pixels))) for frame in moving]
    return {
        "png": images.png(images.grid(strips, len(some))),
        "gif": gif(frames, spec.rate or RATE),
    }


def gif(frames: list[NDArray[np.uint8]], rate: float) -> bytes:
    """Return frames (H, W, 3) as a GIF without end; gray ones lose nothing, colours become 256.

    Args:
        frames: of one size.
        rate: frames per second, at most 50: browsers slow down what is faster.
    """
    gray = all((frame == frame[..., :1]).all() for frame in frames)
    first, *others = (Image.fromarray(frame[..., 0] if gray else frame) for frame in frames)
    file = io.BytesIO()
    hundredths = max(round(100 / rate), 2)
    first.save(
        file,
        format="GIF",
        save_all=True,
        append_images=others,
        duration=10 * hundredths,
        loop=0,
        optimize=False,
    )
    return file.getvalue()


def _held(videos: NDArray[np.uint8], length: int) -> NDArray[np.uint8]:
    """Return videos (N, T, ...) whose last frame is held, up to a length."""
    last = videos[:, -1:].repeat(length - videos.shape[1], axis=1)
    return np.concatenate([videos, last], axis=1)
