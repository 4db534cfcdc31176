"""A dry run of the methods that an evaluation calls, on the copy of a model that warms up.

A value of a wrong type is found here, before the budget is spent. Errors that methods raise are
only logged, as the copy has taken only a few steps: the evaluation decides on the trained model.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import torch

from harness.contract import Batch, HasEncoder, HasLatent, HasLikelihood
from harness.machine.exceptions import explain
from harness.machine.precision import autocast
from harness.machine.process_state import GENERATORS, unchanged
from harness.machine.seeding import WARM_UP, reseed
from harness.measurement.evaluation_cost import FREE, CallCost, Work, cost_through
from harness.measurement.interpolation import decode
from harness.measurement.outlook import Costs
from harness.measurement.sampling import Sampler, evaluating
from harness.plugins.contract_validation import (
    ContractBroken,
    validate_examples,
    validate_latents,
    validate_likelihood,
)

log = logging.getLogger(__name__)

FEW = 2
"""Images of a dry run."""

MORE = 16
"""Images of a second call, which shows the cost of another image."""

QUICK = 0.5
"""Maximum seconds of a call of ``FEW`` for one of ``MORE`` to be made."""

COLD = 2.0
"""Maximum seconds of a first call, which includes one-time work, for it to be timed again."""


def dry_run(
    sampler: Sampler, batch: Batch, on_call: Callable[[], None], *, compiled: bool = False
) -> Costs:
    """Call each method that an evaluation uses once, and validate what it returns.

    Args:
        sampler: of a model that is discarded afterwards.
        batch: of training examples, on its device.
        on_call: called after each.
        compiled: whether ``network`` is compiled, which is disabled here.

    Returns:
        Costs of calls of ``sample`` and ``log_likelihood``; nothing if they raised or are missing.

    Raises:
        ContractBroken: one returned an invalid value.
    """
    model = sampler.model
    y = model.condition(batch.y)
    more = Batch(batch.x[:MORE], None if y is None else y[:MORE])
    few = batch.x[:FEW]
    n = len(few)
    costs = Costs(FREE, FREE)
    with unchanged(GENERATORS), ExitStack() as inside:
        if compiled:
            # No compiled graph of another batch size or mode than the trial's own.
            inside.enter_context(torch.compiler.set_stance("force_eager"))
        inside.enter_context(evaluating(model))
        reseed(sampler.device, sampler.seed, WARM_UP)
        with _logged_errors("sample"):
            costs = costs._replace(sampling=_cost(partial(_sample, sampler), FEW, MORE))
        on_call()
        if isinstance(model, HasLikelihood):
            with _logged_errors("log_likelihood"):
                score = partial(_score, model, more)
                costs = costs._replace(likelihood=_cost(score, n, len(more.x)))
            on_call()
        if isinstance(model, HasLatent):
            with _logged_errors("sample_prior"), autocast(sampler.precision, sampler.device):
                z = model.sample_prior(FEW)
                validate_latents(z, FEW, f"sample_prior({FEW})")
                images = decode(model, z, sampler.conditions(FEW))
                validate_examples(images, FEW, model.spec, f"decode(sample_prior({FEW}))")
            on_call()
        if isinstance(model, HasEncoder):
            with _logged_errors("encode"):
                validate_latents(model.encode(few), n, "encode")
            on_call()
    return costs


def _cost(timed: Callable[[int], float], few: int, more: int) -> CallCost:
    """Return the cost of a call; for a slow one, the time with ``few`` images counts as fixed."""
    seconds = timed(few)
    if seconds < COLD:
        seconds = min(seconds, timed(few))
    if seconds >= QUICK or more <= few:
        return CallCost(seconds, 0.0)
    return cost_through((Work(1, few), seconds), (Work(1, more), timed(more)))


def _sample(sampler: Sampler, n: int) -> float:
    """Draw ``n`` images, and return the seconds that it took."""
    y = sampler.conditions(n)
    start = time.perf_counter()
    with autocast(sampler.precision, sampler.device):
        x = sampler.model.sample(n, y)
    validate_examples(x, n, sampler.model.spec, f"sample({n})")
    x.max().item()  # waits for the device
    return time.perf_counter() - start


def _score(model: HasLikelihood, batch: Batch, n: int) -> float:
    """Compute the likelihood of ``n`` images, and return the seconds that it took."""
    start = time.perf_counter()
    likelihood = model.log_likelihood(batch.x[:n], None if batch.y is None else batch.y[:n])
    validate_likelihood(likelihood, n)
    likelihood.nats.sum().item()  # waits for the device
    return time.perf_counter() - start


@contextmanager
def _logged_errors(method: str) -> Iterator[None]:
    try:
        yield
    except ContractBroken:
        raise
    except Exception as error:
        log.warning("%s raised before training, in a dry run: %s", method, explain(error))
