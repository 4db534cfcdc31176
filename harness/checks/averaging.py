"""Check of the average of weights, which every model is measured with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from harness.checks.sampling import check_examples
from harness.checks.subject import build, draw, log_likelihood, noise_batch, seeded, stage_midpoints
from harness.contract import DataSpec, GenerativeModel, HasLikelihood
from harness.training.averaging import WeightAverage
from harness.training.divergence import Diverged, DivergenceWatch

PERIODS = 4
EXAMPLES = 8


def check_average(
    model_class: type[GenerativeModel], spec: DataSpec, overrides: Mapping[str, Any]
) -> None:
    """Weights and buffers stay finite; averaged weights act as in a new model that loads them."""
    model = build(model_class, spec, overrides)
    average = WeightAverage(model, 1000)
    _train(model, average, spec)
    model.eval()
    with average.applied():
        samples, nats = _results(model, spec)
        check_examples(samples, EXAMPLES, spec, "sample, with averaged weights,")
        own = model.state_dict().items()
        state = {name: v.clone() if isinstance(v, Tensor) else v for name, v in own}
    new = build(model_class, spec, overrides, seed=1).eval()
    try:
        new.load_state_dict(state)
    except RuntimeError:
        # A model that has grown in training; whether it resumes is another check's.
        return
    expected, expected_nats = _results(new, spec)
    share = float((samples != expected).float().mean())
    assert share < 0.02, _stale("samples", f"{share:.1%} of values differ")
    if nats is not None and expected_nats is not None:
        near = torch.allclose(nats, expected_nats, rtol=1e-3, atol=1e-3, equal_nan=True)
        assert near, _stale("likelihoods", f"{nats[0]:.4g} and {expected_nats[0]:.4g} nats")


def _train(model: GenerativeModel, average: WeightAverage, spec: DataSpec) -> None:
    """Take some periods of every stage as a trial does, and look at every step."""
    batch, watch = noise_batch(spec, EXAMPLES), DivergenceWatch(average)
    progress = [p for p in stage_midpoints(model) for _ in range(PERIODS * model.period)]
    for step, where in enumerate(progress, start=1):
        with seeded(step):
            model.training_step(batch, where)
        average.update(EXAMPLES, EXAMPLES * step)
        watch.look()
        try:
            watch.refuse({}, step)
        except Diverged as error:
            raise AssertionError(
                f"{error}; a trial would end there, so keep NaN out of parameters and buffers, "
                "except for what is not set yet when the model is built"
            ) from None


def _results(model: GenerativeModel, spec: DataSpec) -> tuple[Tensor, Tensor | None]:
    """Return samples, and the log-likelihoods of some examples where there are such."""
    samples = draw(model, EXAMPLES)
    if not isinstance(model, HasLikelihood):
        return samples, None
    with seeded(0), torch.no_grad():
        return samples, log_likelihood(model, noise_batch(spec, EXAMPLES)).nats.clone()


def _stale(what: str, how: str) -> str:
    return (
        f"{what} of a model that was given averaged weights are not those of a new one that has "
        f"them ({how}): something that sampling or scoring uses is derived from the weights in "
        "training and kept, or is in no parameter and no buffer"
    )
