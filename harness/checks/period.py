"""The check that ``period`` is the number of steps after which the kind of work repeats."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from torch.optim.optimizer import register_optimizer_step_post_hook

from harness.checks.subject import build, noise_batch, seeded, stage_midpoints
from harness.contract import Batch, DataSpec, GenerativeModel
from harness.machine.flops import FlopCounter

# The longest period in use: a gradient penalty every 16 steps (StyleGAN2).
LONGEST = 16
BATCH = 2
Work = tuple[frozenset[str], float]


def check_period(
    model_class: type[GenerativeModel], spec: DataSpec, overrides: Mapping[str, Any]
) -> None:
    """Optimizers and FLOPs of a step are those of the step ``period`` before."""
    model = build(model_class, spec, overrides)
    batch = noise_batch(spec, BATCH)
    for progress in stage_midpoints(model):
        # The first period may initialise what __init__ left open.
        steps = iter(range(model.period, 2 * LONGEST + model.period))
        for step in range(model.period):
            _work(model, batch, progress, step)
        work = [_work(model, batch, progress, step) for step in islice(steps, LONGEST + 1)]
        if _repeats(work, model.period):
            continue
        work += [_work(model, batch, progress, step) for step in steps]
        # Work that repeats after no number of steps is drawn at random, and has no period.
        found = next((n for n in range(1, LONGEST + 1) if _repeats(work, n)), None)
        assert found is None, (
            f"the work of a step repeats after {found} steps, and `period` is {model.period}: set "
            f"self.period = {found} in __init__, so that FLOPs are counted over whole turns"
        )


def _work(model: GenerativeModel, batch: Batch, progress: float, step: int) -> Work:
    """Take a step; return the optimizers that moved something, and the FLOPs."""
    names = {id(optimizer): name for name, optimizer in model.optimizers.items()}
    moved: set[str] = set()
    handle = register_optimizer_step_post_hook(
        lambda optimizer, args, kwargs: moved.add(names.get(id(optimizer), ""))
    )
    try:
        with seeded(step), FlopCounter() as flops:
            model.training_step(batch, progress)
    finally:
        handle.remove()
    return frozenset(moved), flops.total


def _repeats(work: list[Work], period: int) -> bool:
    return all(now == then for then, now in zip(work, work[period:], strict=False))
