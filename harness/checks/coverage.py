"""The check for blind spots: values that a value does not see, though it sees farther ones.

A model may depend on as few pixels as it likes: on its neighbours, or on the last k in the order of
a raster. What it may not have is a hole in what it sees. Masked convolutions of h pixels to each
side see h columns to the right in the row above, at any depth, and more in the row above that: the
pixel that is h + 1 to the right in the row above is lost. A text and a sound are one row.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from harness.checks.exact import exact_size
from harness.checks.own_data import SMALL, Size, values_of, without_condition
from harness.checks.probability import score, trained
from harness.checks.subject import NotApplicable, all_images, build, noise_batch, perturb, train
from harness.contract import DataSpec, GenerativeModel

# All x of these are scored; given one condition, where a model wants one.
SIZES = (
    Size({"image": (1, 3, 3), "video": (2, 1, 2, 2), "audio": (1, 9), "text": (9,)}, 2),
    Size({"image": (1, 4, 4), "video": (4, 1, 2, 2), "audio": (1, 16), "text": (16,)}, 2),
)
# Columns to the right of a pixel that are looked at, by how many there are: kernels that are up to
# 15 wide, and up to 23, which costs about 13 times as much.
COLUMNS = {8: range(1, 9), 12: range(9, 13)}
COST, PATIENCE = 13, 10.0
# A pixel counts as unseen if it changes only the last digits of float32.
SEEN, CLEARLY_SEEN = 1e-5, 1e-4
Pair = tuple[int, int]


def check_coverage(
    model_class: type[GenerativeModel], spec: DataSpec, overrides: Mapping[str, Any]
) -> str:
    """What a pixel depends on has no hole: it sees what is nearer than the farthest that it sees.

    P(x_d | x_<d) is summed out of the probabilities of all x that begin alike, and has to change
    with x_j. Looked at are all pairs of pixels of 1x3x3 binary images, or of 9 characters, and the
    two rows above a pixel in wider images.
    """
    if spec.x.kind == "video":
        raise NotApplicable("blind spots are looked for in one image or one row, not in frames")
    candidates = [data for size in SIZES for data in _with_one_condition_at_most(size.of(spec))]
    own = exact_size(model_class, spec, overrides, candidates)
    model = trained(model_class, own, overrides)
    # Weights that start at zero hide what they connect.
    perturb(model)
    nats = score(model, all_images(own), 0).nats
    _compare_pairs(_interactions(nats.view([own.levels] * own.dimensions)), own)
    return _look_wide(model_class, spec, overrides) if spec.x.kind == "image" else ""


def _with_one_condition_at_most(spec: DataSpec) -> tuple[DataSpec, DataSpec]:
    """Return ``spec`` without its condition, and with one class if that is a label."""
    y = replace(spec.y, levels=1) if spec.y is not None and spec.y.kind == "label" else spec.y
    return without_condition(spec), replace(spec, y=y)


def _interactions(nats: Tensor) -> dict[Pair, float]:
    """Return how much log P(x_d | x_<d) changes at most with x_j, for all j < d."""
    changes = {}
    for d in range(1, nats.ndim):
        later = tuple(range(d + 1, nats.ndim))
        joint = nats.logsumexp(later) if later else nats
        conditional = joint - joint.logsumexp(d, keepdim=True)
        for j in range(d):
            changes[d, j] = float(conditional.diff(dim=j).abs().max())
    return changes


def _compare_pairs(changes: dict[Pair, float], spec: DataSpec) -> None:
    seen = [pair for pair, change in changes.items() if change >= SEEN]
    if not seen:
        raise NotApplicable(f"its {values_of(spec)} are independent of each other")
    if 2 * len(seen) < len(changes):
        raise NotApplicable(
            f"{len(seen)} of {len(changes)} pairs of {values_of(spec)} interact: each depends on "
            "few others, as in a Markov chain, and that is no blind spot"
        )
    blind = [pair for pair in changes if pair not in set(seen)]
    last = max(d - j for d, j in seen)
    if all(d - j > last for d, j in blind):
        return
    width = spec.shape[-1]
    reached = {_offset(pair, width) for pair in seen}
    holes = [pair for pair in blind if _is_within(_offset(pair, width), reached)]
    examples = ", ".join(f"{divmod(d, width)} on {divmod(j, width)}" for d, j in holes[:3])
    assert not holes, (
        f"{len(holes)} of {len(changes)} pairs of {values_of(spec)} (row, column) do not interact, "
        f"though farther ones do: {examples}; a blind spot of masked convolutions?"
    )


def _offset(pair: Pair, width: int) -> Pair:
    """Return (rows up, columns to the right) from pixel d to pixel j."""
    (row, column), (above, other) = divmod(pair[0], width), divmod(pair[1], width)
    return row - above, other - column


def _is_within(offset: Pair, reached: set[Pair]) -> bool:
    """Whether an offset on the same side is reached that is as far up and as far aside.

    A row that does not look at itself is none of the rows above's.
    """
    up, aside = offset
    return any(
        bool(up) == bool(farther_up)
        and farther_up >= up
        and abs(farther_aside) >= abs(aside)
        and farther_aside * aside >= 0
        for farther_up, farther_aside in reached
    )


def _look_wide(
    model_class: type[GenerativeModel], spec: DataSpec, overrides: Mapping[str, Any]
) -> str:
    """Look to the right in the two rows above a pixel; return what was not checked, and why."""
    widest, start = 3, time.perf_counter()
    for reach, columns in COLUMNS.items():
        if COST * (time.perf_counter() - start) > PATIENCE:
            return f"blind spots of kernels wider than {widest} were not looked for: it takes long"
        model = _wide(model_class, spec, overrides, reach)
        if model is None:
            return f"blind spots of kernels wider than {widest} were not looked for: no size fits"
        sees = _PixelDependence(model, reach)
        unseen = [column for column in columns if sees.change(1, column) < SEEN]
        holes = [column for column in unseen if sees.change(2, column) >= CLEARLY_SEEN]
        assert not holes, (
            f"a pixel does not depend on the one {holes[0]} columns to the right in the row above, "
            "though on the one above that: a blind spot of masked convolutions?"
        )
        if unseen:
            break
        widest = 2 * reach - 1
    return ""


def _wide(
    model_class: type[GenerativeModel], spec: DataSpec, overrides: Mapping[str, Any], reach: int
) -> GenerativeModel | None:
    """Return a model of images that are ``reach`` wider than a pixel, or None if no size works."""
    side = 8 * (reach // 8 + 1)
    shapes = ((1, 3, reach + 1), (1, side, side), (1, *spec.shape[1:]))
    candidates = [
        data
        for shape in shapes
        if shape[1] > 2 and shape[2] > reach
        for data in _with_one_condition_at_most(Size({**SMALL.shapes, "image": shape}, 2).of(spec))
    ]
    try:
        own = exact_size(model_class, spec, overrides, candidates)
    except NotApplicable:
        return None
    model = build(model_class, own, overrides)
    # Layers that start from the data's moments see them; depth attenuates distant pixels, so
    # perturb well.
    train(model, noise_batch(own, 8), range(model.period), model.period)
    perturb(model, 0.2)
    return model.eval()


class _PixelDependence:
    """How much P(x_d | x_<d) of a pixel of the last row changes with earlier pixels.

    Summed are the probabilities of all images that go on from one random context, of the 2^reach
    values of the pixels after x_d.
    """

    def __init__(self, model: GenerativeModel, reach: int) -> None:
        self.model, self.reach = model, reach
        self.context = noise_batch(model.spec, 1).x
        self.log_odds = self._log_odds(self.context)

    def change(self, up: int, aside: int) -> float:
        """Return the change of log P(1 | x_<d) - log P(0 | x_<d) with the pixel of an offset."""
        context = self.context.clone()
        context[..., -1 - up, context.shape[-1] - 1 - self.reach + aside] ^= 1
        return abs(self._log_odds(context) - self.log_odds)

    def _log_odds(self, context: Tensor) -> float:
        values = torch.arange(2, dtype=torch.uint8)
        endings = torch.cartesian_prod(*[values] * (self.reach + 1))
        images = context.repeat(len(endings), 1, 1, 1)
        images[:, 0, -1, -1 - self.reach :] = endings
        zero, one = score(self.model, images, 0).nats.view(2, -1).logsumexp(1).tolist()
        return float(one - zero)
