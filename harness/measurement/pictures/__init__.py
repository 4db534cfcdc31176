"""What people look at, or listen to, of arrays of each kind: files by their suffix.

An image gives a grid; a video a strip of its frames and a moving picture; a sound its spectrogram
and a recording; text its lines. A kind that has no picture, a label, gives no file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from numpy.typing import NDArray

from harness.contract import ArraySpec, DataSpec
from harness.measurement.pictures import images, sounds, texts, videos

Files = dict[str, bytes]


class Medium(Protocol):
    """One kind of picture, a module each: what it makes of examples, and the files of that."""

    COLUMNS: int
    """Examples in a row."""
    MOST: int
    """Examples in all."""

    def perceptible(self, x: NDArray[Any], spec: ArraySpec) -> Any:
        """Return examples (N, *spec.shape) as they are seen, heard or read."""

    def paired(self, left: Any, right: Any) -> Any:
        """Return pairs of such examples, each pair as one."""

    def files(self, examples: Any, spec: ArraySpec, columns: int) -> Files:
        """Return the files that show examples, so many in a row, by suffix."""


MEDIA: dict[str, Medium] = {"image": images, "video": videos, "audio": sounds, "text": texts}
ALIKE = (("image", "image"), ("image", "video"), ("video", "video"), ("text", "text"))
"""Kinds of y and x that can stand side by side."""


def draw(spec: ArraySpec, x: NDArray[Any], columns: int | None = None) -> Files:
    """Return the files that show the first examples of x (N, *spec.shape), by suffix.

    Args:
        spec: what x is.
        x: integers in [0, levels).
        columns: examples in a row, such as those of one arc in latent space.
    """
    medium = MEDIA.get(spec.kind)
    if medium is None:
        return {}
    columns = columns or medium.COLUMNS
    chosen = x[: _most(medium, columns)]
    return medium.files(medium.perceptible(chosen, spec), spec, columns)


def draw_pairs(
    spec: ArraySpec, left: NDArray[Any], right: NDArray[Any], of: ArraySpec | None = None
) -> Files:
    """Return the files that show pairs of examples side by side, or one after the other.

    Args:
        spec: what ``right`` is.
        left: integers, as in ``draw``.
        right: the other example of each pair.
        of: what ``left`` is, if something else.
    """
    medium, other = MEDIA.get(spec.kind), MEDIA.get((of or spec).kind)
    if medium is None or other is None:
        return {}
    columns = max(medium.COLUMNS // 2, 1)
    most = _most(medium, columns) // 2
    pairs = medium.paired(
        other.perceptible(left[:most], of or spec), medium.perceptible(right[:most], spec)
    )
    return medium.files(pairs, spec, columns)


def draw_conditional(spec: DataSpec, x: NDArray[Any], y: NDArray[Any] | None) -> Files:
    """Return the files that show samples with the conditions that they were drawn from.

    Conditions that are pictures, or text of text, stand beside them; labels and captions are lines
    of the file "txt", in the order of the samples. Others are not shown.

    Args:
        spec: of the data.
        x: samples (N, *spec.x.shape).
        y: conditions (N, *spec.y.shape); None without any.
    """
    if y is None or spec.y is None:
        return draw(spec.x, x)
    if (spec.y.kind, spec.x.kind) in ALIKE:
        return draw_pairs(spec.x, y, x, of=spec.y)
    files = draw(spec.x, x)
    if spec.y.kind in ("label", "text"):
        medium = MEDIA[spec.x.kind]
        captions = _captions(spec.y, y[: _most(medium, medium.COLUMNS)])
        files["txt"] = texts.captioned(captions, files.get("txt", b""))
    return files


def _captions(spec: ArraySpec, y: NDArray[Any]) -> Sequence[str]:
    """Return labels as numbers, captions as they read."""
    return texts.perceptible(y, spec) if spec.kind == "text" else [str(int(label)) for label in y]


def _most(medium: Medium, columns: int) -> int:
    """Return how many examples are shown, in whole rows."""
    return max(medium.MOST // columns, 1) * columns
