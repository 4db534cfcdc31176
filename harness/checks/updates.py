"""Checks of side effects of a step: how often it updates, and what it leaves in memory."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor
from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook

from harness.checks.subject import build, noise_batch, seeded, stage_midpoints
from harness.contract import Batch, DataSpec, GenerativeModel


def check_updates(
    model_class: type[GenerativeModel], spec: DataSpec, overrides: Mapping[str, Any]
) -> None:
    """A step updates once from its batch: no optimizer steps twice, and none is undeclared."""
    model = build(model_class, spec, overrides)
    names = {id(optimizer): name for name, optimizer in model.optimizers.items()}
    batch = noise_batch(spec, 8)
    for step, progress in enumerate(p for p in stage_midpoints(model) for _ in range(model.period)):
        with seeded(step), _counted_updates() as updates:
            model.training_step(batch, progress)
        for optimizer, count in updates.items():
            name = names.get(id(optimizer))
            assert name is not None, (
                f"a step moves weights with a {type(optimizer).__name__} that is not in "
                "self.optimizers: its state would be lost in a checkpoint"
            )
            assert count == 1, (
                f'optimizer "{name}" takes {count} steps on one batch: one training_step consumes '
                "one batch, or counts of examples compare nothing; where players take turns, count "
                "calls and set `period`"
            )


@contextmanager
def _counted_updates() -> Iterator[Counter[Optimizer]]:
    updates: Counter[Optimizer] = Counter()
    handle = register_optimizer_step_post_hook(
        lambda optimizer, args, kwargs: updates.update([optimizer])
    )
    try:
        yield updates
    finally:
        handle.remove()


def check_memory(
    model_class: type[GenerativeModel], spec: DataSpec, overrides: Mapping[str, Any]
) -> None:
    """Step after step no more tensors and no more of autograd's graph stay alive."""
    with _only_new_objects():
        model = build(model_class, spec, overrides)
        batch = noise_batch(spec, 8)
        for progress in stage_midpoints(model):
            _compare_held([_held_after_period(model, batch, progress) for _ in range(4)][1:], model)


def _compare_held(held: list[dict[str, int]], model: GenerativeModel) -> None:
    period = "step" if model.period == 1 else f"{model.period} steps"
    for kind in held[0]:
        first, second, third = (each[kind] for each in held)
        assert not first < second < third, (
            f"memory leaks: after each {period} {third - second} more {kind} stay alive; detach() "
            "what outlives a step, or keep its .item()"
        )


def _held_after_period(model: GenerativeModel, batch: Batch, progress: float) -> dict[str, int]:
    for step in range(model.period):
        with seeded(step):
            model.training_step(batch, progress)
    return _held()


@contextmanager
def _only_new_objects() -> Iterator[None]:
    """Hide existing objects from the garbage collector, which would take seconds to scan them."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _held() -> dict[str, int]:
    """Return the numbers of live tensors, and of nodes of the graphs that they hold."""
    gc.collect()
    tensors = [each for each in gc.get_objects() if issubclass(type(each), Tensor)]
    nodes, open_ = set(), [each.grad_fn for each in tensors if each.grad_fn is not None]
    while open_:
        node = open_.pop()
        if node not in nodes:
            nodes.add(node)
            open_ += [parent for parent, _ in node.next_functions if parent is not None]
    return {"nodes of autograd's graph": len(nodes), "tensors": len(tensors)}
