"""Data that checks choose by themselves, of the kinds that a model makes and takes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from harness.contract import AXES, ArraySpec, DataSpec, GenerativeModel, Kind
from harness.plugins.dataset_validation import plural

CLASSES = 10


@dataclass(frozen=True)
class Size:
    """A size of data of every kind.

    Attributes:
        shapes: of one x, by kind.
        levels: of x, and the most that a condition has.
    """

    shapes: Mapping[str, tuple[int, ...]]
    levels: int

    def of(self, spec: DataSpec, classes: int = CLASSES) -> DataSpec:
        """Return data of this size and of the kinds of ``spec``.

        Where it has no condition there are ``classes``, which most real data have.
        """
        x = replace(spec.x, shape=self.shapes[spec.x.kind], levels=self.levels, alphabet="")
        if spec.y is None or spec.y.kind == "label":
            return replace(spec, x=x, y=ArraySpec("label", (), classes))
        shape = _scaled(spec.y, spec.x, x) or self.shapes[spec.y.kind]
        levels = min(spec.y.levels, self.levels)
        return replace(spec, x=x, y=replace(spec.y, shape=shape, levels=levels, alphabet=""))


SMALL = Size({"image": (1, 8, 8), "video": (3, 1, 8, 8), "audio": (1, 64), "text": (24,)}, 17)
"""What a model is checked on where nobody says what it is for."""


def default_data(model_class: type[GenerativeModel]) -> DataSpec:
    """Return small data of the first kinds that a model makes and takes and does not refuse."""
    candidates = [
        replace(data_of(x, y), paired=paired)
        for x in _known(model_class.makes, "image")
        for y in _known(model_class.takes, "label")
        for paired in (True, False)
    ]
    return next((data for data in candidates if _runs_on(model_class, data)), candidates[0])


def data_of(x: str, y: str) -> DataSpec:
    """Return small data of a kind with a condition of a kind."""
    return SMALL.of(DataSpec(_largest(x), _largest(y)))


def resized(spec: DataSpec, shape: tuple[int, ...]) -> DataSpec:
    """Return ``spec`` with x of another shape, and with a condition that goes with it."""
    x = replace(spec.x, shape=shape)
    if spec.y is None or (beside := _scaled(spec.y, spec.x, x)) is None:
        return replace(spec, x=x)
    return replace(spec, x=x, y=replace(spec.y, shape=beside))


def without_condition(spec: DataSpec) -> DataSpec:
    """Return ``spec`` without y."""
    return replace(spec, y=None, paired=True)


def describe_spec(spec: DataSpec) -> str:
    """Return kind, size, levels and condition of data, for people."""
    x, y = spec.x, spec.y
    text = f"{plural(x)} {_size(x)} with {x.levels} levels"
    if y is None:
        return text
    if y.kind == "label":
        return f"{text} and {y.levels} classes"
    beside = "" if spec.paired else "unpaired "
    return f"{text} and {beside}{plural(y)} {_size(y)} with {y.levels} levels as conditions"


def values_of(spec: DataSpec) -> str:
    """Return what the integers of one x are called."""
    return {"text": "characters", "audio": "values"}.get(spec.x.kind, "pixels")


def _size(array: ArraySpec) -> str:
    return "x".join(map(str, array.shape))


def _scaled(y: ArraySpec, x: ArraySpec, other: ArraySpec) -> tuple[int, ...] | None:
    """Return the shape of a y that is to ``other`` what it is to ``x``; None if it is nothing.

    An image to an image has its height and width, or half of them, and so has the first frame to a
    video.
    """
    if y.kind != x.kind and {y.kind, x.kind} != {"image", "video"}:
        return None
    shared = min(len(x.shape), len(y.shape))
    sides = zip(y.shape[-shared:], x.shape[-shared:], other.shape[-shared:], strict=True)
    scaled = (max(1, side * now // then) for side, then, now in sides)
    return (*y.shape[:-shared], *scaled)


def _largest(kind: str) -> ArraySpec:
    shape = () if kind == "label" else SMALL.shapes[kind]
    return ArraySpec(cast("Kind", kind), shape, CLASSES if kind == "label" else SMALL.levels)


def _known(kinds: Any, otherwise: str) -> list[str]:
    """Return kinds, labels first; ``otherwise`` where there is none that the contract knows."""
    found = [kind for kind in AXES if isinstance(kinds, Collection) and kind in kinds]
    return sorted(found, key=lambda kind: kind != "label") or [otherwise]


def _runs_on(model_class: type[GenerativeModel], spec: DataSpec) -> bool:
    try:
        return model_class.refuses(spec) is None
    except Exception:  # which every check will report
        return False
