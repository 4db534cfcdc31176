"""The check that a conditional model honours its condition, in samples and in likelihoods."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from harness.checks.subject import NotApplicable, build, draw_from, log_likelihood, seeded, train
from harness.contract import ArraySpec, Batch, DataSpec, GenerativeModel, HasLikelihood

ROUNDS = (100, 800)
REPEATS = 4
SAMPLES = 64
# Conditions that are trained apart, where they are no labels.
FEW = 3
# Share of x that have to be likelier given their own condition than given another.
LIKELIER = 0.75


class _Found(NamedTuple):
    """Shares of samples of the kind that was asked for, and of x likelier given their own y."""

    shown: float
    likelier: float


def check_condition(
    model_class: type[GenerativeModel], spec: DataSpec, overrides: Mapping[str, Any]
) -> None:
    """Trained on one kind of x for each y, samples are of the kind that their y asks for.

    Where there is a likelihood, an x is likelier given its own y than given another. A y other than
    a label is bright where its x is.
    """
    if not model_class.is_conditional(spec):
        raise NotApplicable("the data has no condition that it takes")
    if not spec.paired:
        raise NotApplicable("x and y of unpaired data are independent draws: y asks for no x")
    count = spec.classes or FEW
    if count < 2:
        raise NotApplicable("the data has one condition alone")
    kinds = Batch(_patterns(spec.x, count), _conditions(spec, count))
    chance = 1 / count
    found = []
    for steps in ROUNDS:
        model = build(model_class, spec, overrides)
        train(model, _repeated(kinds, REPEATS), range(steps), steps)
        found.append(_judged(model.eval(), kinds))
        if found[-1].shown > (1 + chance) / 2 and found[-1].likelier > LIKELIER:
            return
    if found[-1].shown <= (1 + chance) / 2:
        raise AssertionError(
            f"samples do not follow their condition: {_after(f.shown for f in found)} are of the "
            f"kind that was asked for, where chance is {chance:.0%}; do training and sample use y, "
            "and in the same way?"
        )
    raise AssertionError(
        f"log_likelihood does not follow its condition: {_after(f.likelier for f in found)} of x "
        "are likelier given their own y than given another; do training and log_likelihood use y, "
        "and in the same way?"
    )


def _after(shares: Iterable[float]) -> str:
    trained = zip(shares, ROUNDS, strict=True)
    return ", ".join(f"{share:.0%} after {steps}" for share, steps in trained) + " steps"


def _judged(model: GenerativeModel, kinds: Batch) -> _Found:
    n = len(kinds.x)
    asked = torch.arange(SAMPLES) % n
    samples = draw_from(model, None if kinds.y is None else kinds.y[asked], SAMPLES)
    nearest = torch.cdist(samples.flatten(1).float(), kinds.x.flatten(1).float()).argmin(1)
    shown = float((nearest == asked).float().mean())
    if not isinstance(model, HasLikelihood):
        return _Found(shown, 1.0)
    own = _repeated(kinds, REPEATS)
    other = own._replace(y=None if own.y is None else own.y.roll(1, 0))
    nats = []
    for batch in (own, other):
        with seeded(0), torch.no_grad():
            nats.append(log_likelihood(model, batch).nats)
    return _Found(shown, float((nats[0] > nats[1]).float().mean()))


def _repeated(batch: Batch, times: int) -> Batch:
    y = None if batch.y is None else torch.cat([batch.y] * times)
    return Batch(torch.cat([batch.x] * times), y)


def _conditions(spec: DataSpec, count: int) -> Tensor | None:
    if spec.y is None or spec.y.kind == "label":
        return torch.arange(count)
    return _patterns(spec.y, count)


def _patterns(array: ArraySpec, count: int) -> Tensor:
    """Return ``count`` arrays, dark but for a bright run of places where their number says.

    Places are those of an image's height and width, or along a text and a sound: a run is at the
    same place in arrays of two sizes.
    """
    plane = array.shape[-2:] if len(array.shape) > 2 else array.shape[-1:]
    places = math.prod(plane)
    kinds = torch.zeros(count, places, dtype=torch.uint8)
    borders = torch.linspace(0, places, count + 1).round().int().tolist()
    for kind, start, stop in zip(kinds, borders, borders[1:], strict=False):
        kind[start : max(stop, start + 1)] = array.levels - 1
    leading = [1] * (len(array.shape) - len(plane))
    return kinds.view(count, *leading, *plane).expand(count, *array.shape).contiguous()
