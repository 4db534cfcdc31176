"""Checks that a likelihood is a probability: it sums to one, and cannot predict pure noise."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from harness.checks.own_data import Size, describe_spec, without_condition
from harness.checks.own_sizes import scorable
from harness.checks.subject import (
    NotApplicable,
    all_images,
    build,
    condition_for,
    conditions,
    log_likelihood,
    noise_batch,
    number_of_conditions,
    seeded,
    train,
)
from harness.contract import (
    Batch,
    DataSpec,
    GenerativeModel,
    HasLikelihood,
    LogLikelihood,
)

# All of 256 values of x, or of 65,536 for networks that halve images twice, are scored.
TINY = Size({"image": (1, 2, 2), "video": (2, 1, 1, 2), "audio": (1, 4), "text": (4,)}, 4)
WIDER = {"image": (1, 4, 4), "video": (4, 1, 2, 2), "audio": (1, 16), "text": (16,)}
TINY_OF_TWO_LEVELS = Size(WIDER, 2)
SHOWN, CONDITIONS = 10, 3
CHUNK, IMPOSSIBLE = 4096, -1e4
REPEATS, PRECISION, NOISELESS = (2, 4, 16, 64), 0.1, 1e-3
TOLERANCE = {"exact": 1e-3, "lower_bound": 0.02, "estimate": 0.1}
FLAT = Size(WIDER, 4)
STEPS, BATCH = 150, 64
SLACK = {"exact": 1e-3, "lower_bound": 1e-3, "estimate": 0.02}


def enumerable(
    model_class: type[GenerativeModel], spec: DataSpec, overrides: Mapping[str, Any]
) -> list[tuple[DataSpec, str]]:
    """Return data of which all x can be scored, and the kind of likelihood on them.

    With classes, as real data have them, because it is then that a prior of classes can be missing,
    or with the condition of ``spec``; and without, for models that behave differently without
    classes.

    Raises:
        NotApplicable: the model runs on none of them.
    """
    sizes = [size.of(spec) for size in (TINY, TINY_OF_TWO_LEVELS)]
    either = [data for size in sizes for data in (size, without_condition(size))]
    found = [scorable(model_class, spec, overrides, either)]
    if model_class.is_conditional(found[0][0]):
        with suppress(NotApplicable):
            without = [without_condition(size) for size in sizes]
            found.append(scorable(model_class, spec, overrides, without))
    return found


def trained(
    model_class: type[GenerativeModel], spec: DataSpec, overrides: Mapping[str, Any]
) -> GenerativeModel:
    """Return a model in eval mode, trained on a few of all x of ``spec``, as often on each.

    Where there are conditions, each has an x of its own.
    """
    model = build(model_class, spec, overrides)
    every = all_images(spec)
    batch = Batch(every[:: len(every) // SHOWN][:SHOWN], conditions(spec, SHOWN))
    # Trained, so that the mass is not spread too thin to show an error of the volume.
    train(model, batch, range(100), 100)
    return model.eval()


def check_total_probability(
    model_class: type[GenerativeModel], spec: DataSpec, overrides: Mapping[str, Any]
) -> None:
    """Over all 256 images 1x2x2, or texts of 4, sum exp(log P(x)) is 1 if exact, else at most 1.

    Of a conditional model it is sum_x P(x | y) that is 1, for each y.

    What is promised of a bound is E[log p^(x)] <= log P(x). So the nats of each x are averaged
    over repetitions before the exponential: averaged after it, noise alone makes the sum too large,
    by exp(s^2 / 2) for Gaussian noise of variance s^2. The noise that is left is taken into account
    by the jackknife over repetitions, which estimates both the bias of the sum's logarithm and its
    standard error. Above the limit is what is so by more than three errors.
    """
    for own, _ in enumerable(model_class, spec, overrides):
        model = trained(model_class, own, overrides)
        for condition in range(min(conditions_of(model), CONDITIONS)):
            _check_total(model, condition)


def _check_total(model: GenerativeModel, condition: int) -> None:
    every = all_images(model.spec)
    kind, log_total, error, is_above = "", 0.0, 0.0, False
    nats: list[Tensor] = []
    for repeats in REPEATS:
        for repeat in range(len(nats), repeats):
            scored = score(model, every, repeat, condition)
            kind = scored.kind
            nats.append(scored.nats)
        log_total, error = jackknifed_log_total(torch.stack(nats))
        is_above = log_total - 3 * error > math.log(1 + TOLERANCE[kind])
        # Two repetitions show whether there is noise, and no more.
        is_precise = repeats > REPEATS[0] and (error < PRECISION or log_total + 3 * error < 0)
        if error < NOISELESS or (is_precise and not is_above):
            break
    total = math.exp(min(log_total, 700))
    assert not is_above, (
        f"probabilities of all {len(every)} {describe_spec(model.spec)} sum to {total:.4g} "
        f"(relative error {error:.2g}), above 1: this {kind} claims too much; "
        f"{_cause_of_excess(total, model.spec)}"
    )
    if kind == "exact":
        assert log_total + 3 * error > math.log(1 - TOLERANCE["exact"]), (
            f"probabilities of all {len(every)} {describe_spec(model.spec)} sum to "
            f"{total:.4g}: an exact likelihood's sum to 1; is it in nats, of all of x, over "
            "all levels and classes?"
        )


def jackknifed_log_total(nats: Tensor) -> tuple[float, float]:
    """Return log sum_x exp(E[nats of x]) and its standard error, from nats (repetitions, x).

    The jackknife: with L of all R repetitions and L_i of all but the i-th, the bias of L is about
    (R - 1) (mean L_i - L), and its variance (R - 1) / R sum (L_i - mean L_i)^2.
    """
    # What a repetition calls impossible has no difference to it.
    repeats, nats = len(nats), nats.clamp(min=IMPOSSIBLE)
    whole = nats.mean(0).logsumexp(0)
    without = ((nats.sum(0) - nats) / (repeats - 1)).logsumexp(1)
    corrected = whole - (repeats - 1) * (without.mean() - whole)
    variance = (without - without.mean()).square().mean() * (repeats - 1)
    return float(corrected), float(variance.sqrt())


def score(model: GenerativeModel, x: Tensor, seed: int, condition: int = 0) -> LogLikelihood:
    """Return the log-likelihood of many x, float64, in chunks.

    Args:
        model: conditional or not.
        x: uint8 (N, *x.shape).
        seed: of the noise in it.
        condition: number of the y that each is given, for a conditional model.

    Raises:
        AssertionError: it does not have the form that the contract requires.
    """
    assert isinstance(model, HasLikelihood)
    nats = []
    with seeded(seed), torch.no_grad():
        for given in torch.split(x, CHUNK):
            chunk = given.clone()
            scored = model.log_likelihood(chunk, condition_for(model, len(chunk), condition))
            _check_form(scored, len(chunk))
            assert torch.equal(chunk, given), "log_likelihood changed its x"
            nats.append(scored.nats.double())
    return scored._replace(nats=torch.cat(nats))


def all_nats(model: GenerativeModel) -> Tensor:
    """Return the log-probabilities of all x, float64; of equally frequent conditions."""
    every, count = all_images(model.spec), conditions_of(model)
    nats = [score(model, every, 0, condition).nats for condition in range(count)]
    return torch.stack(nats).logsumexp(0) - math.log(count)


def conditions_of(model: GenerativeModel) -> int:
    """Return how many conditions a model is given one by one; one of an unconditional model."""
    return number_of_conditions(model.spec) if model.is_conditional(model.spec) else 1


def _check_form(scored: LogLikelihood, n: int) -> None:
    nats, kind = scored.nats, scored.kind
    assert nats.shape == (n,), f"nats has shape {tuple(nats.shape)}, not (B,)"
    assert not nats.isnan().any() and float(nats.max()) < math.inf, "nats has NaN or infinity"
    assert kind in TOLERANCE, f"kind is {kind!r}; it is one of {', '.join(map(repr, TOLERANCE))}"


def _cause_of_excess(total: float, spec: DataSpec) -> str:
    """Return the likely cause of probabilities that sum to ``total``."""
    volumes = spec.levels**spec.dimensions
    layers = "the log-determinant, its sign and whether every layer counts"
    rest = f"look at {layers}, and for a value that sees itself through a mask"
    if 0.2 * volumes < total < 1.1 * volumes:
        return (
            f"a density's would sum to {volumes} = {spec.levels}^{spec.dimensions}: is the volume "
            f"term -D ln(levels) missing? If not, {rest}"
        )
    if spec.classes and total < 1.1 * spec.classes:
        return (
            "a model that takes no label sums over all: is it log sum_y P(y) P(x | y), with the "
            f"prior of the classes, and neither without P(y) nor of the best y alone? If so, {rest}"
        )
    return rest


def check_entropy(
    model_class: type[GenerativeModel], spec: DataSpec, overrides: Mapping[str, Any]
) -> None:
    """Of data that are pure noise nothing can be foreseen: no honest score beats their entropy.

    E[log P(x)] <= -H = -D ln(levels), where every x has the same probability; a model that is
    not dequantised learns to put its density on the grid of levels, and scores better.
    """
    flat = FLAT.of(spec)
    candidates = (flat, without_condition(flat), *_noise_of(spec))
    own, _ = scorable(model_class, spec, overrides, candidates)
    _check_noise(build(model_class, own, overrides))


def _noise_of(spec: DataSpec) -> Iterator[DataSpec]:
    """Return ``spec`` with few levels, on which noise is learnt soonest."""
    yield replace(spec, x=replace(spec.x, levels=FLAT.levels, alphabet=""))
    yield spec


def _check_noise(model: GenerativeModel) -> None:
    assert isinstance(model, HasLikelihood)
    spec = model.spec
    for step in range(STEPS):
        train(model, noise_batch(spec, BATCH, step), range(step, step + 1), STEPS)
    model.eval()
    with seeded(0), torch.no_grad():
        scored = log_likelihood(model, noise_batch(spec, 4 * BATCH, STEPS))
    bits = scored.nats.double() / (-spec.dimensions * math.log(2))
    mean, error = float(bits.mean()), float(bits.std()) / math.sqrt(len(bits))
    entropy = math.log2(spec.levels)
    assert mean + 3 * error >= entropy - SLACK[scored.kind], (
        f"pure noise with {spec.levels} levels gets {mean:.3f} bits/dim (standard error "
        f"{error:.3f}), below the log2({spec.levels}) = {entropy:g} that it has: "
        "is noise added to dequantise it, in training and in the likelihood alike, and does no "
        "value see itself?"
    )
