"""Checks of what a step does beside learning: how often it updates, and what it leaves behind."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor
from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook

from harness.checks.subject import build, middles, noise_batch, seeded
from harness.contract import DataSpec, GenerativeModel

PERIODS = 4


def check_updates(
    model_class: type[GenerativeModel], spec: DataSpec, overrides: Mapping[str, Any]
) -> None:
    """A step updates once from its batch: no optimizer steps twice, and none in secret."""
    model = build(model_class, spec, overrides)
    names = {id(optimizer): name for name, optimizer in model.optimizers.items()}
    batch = noise_batch(spec, 8)
    for step, progress in enumerate(p for p in middles(model) for _ in range(model.period)):
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
                "one batch, or images seen compare nothing; where players take turns, count "
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
    model = build(model_class, spec, overrides)
    batch = noise_batch(spec, 8)
    for progress in middles(model):
        held = []
        # Optimizers build their state in the first periods.
        for period in range(PERIODS):
            for step in range(model.period):
                with seeded(step):
                    model.training_step(batch, progress)
            if period >= PERIODS - 3:
                held.append(_held())
        for kind in held[0]:
            counts = [each[kind] for each in held]
            assert not counts[0] < counts[1] < counts[2], (
                f"memory leaks: after each {_period(model)} {counts[2] - counts[1]} more {kind} "
                "stay alive; detach() what outlives a step, or keep its .item()"
            )


def _period(model: GenerativeModel) -> str:
    return "step" if model.period == 1 else f"{model.period} steps"


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
    return {"tensors": len(tensors), "nodes of autograd's graph": len(nodes)}
