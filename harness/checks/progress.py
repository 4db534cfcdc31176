"""The check that a recipe's schedules follow the budget, not the number of steps."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from harness.checks.subject import build, differences, noise_batch, seeded, stage_midpoints, state
from harness.contract import Batch, DataSpec, GenerativeModel

HYPER_PARAMETERS = ("lr", "betas", "momentum", "weight_decay")
# Periods to add to a counter: divided by every small number, so that alternating players keep their
# turns.
LEAP = 5040


def check_progress(
    model_class: type[GenerativeModel], spec: DataSpec, overrides: Mapping[str, Any]
) -> None:
    """While ``progress`` stands still nothing is scheduled: budgets need not be counts of steps."""
    batch = noise_batch(spec, 8)
    for progress in stage_midpoints(build(model_class, spec, overrides)):
        model = build(model_class, spec, overrides)
        rates: list[dict[str, Any]] = []
        numbers = [_numbers(state(model)["model"])]
        for _ in range(3):
            for step in range(model.period):
                _step(model, batch, progress, step)
                rates.append(_hyper_parameters(model))
            numbers.append(_numbers(state(model)["model"]))
        _compare_rates(rates, model.period, progress)
        counters = _counters(numbers)
        if counters:
            twins = [build(model_class, spec, overrides) for _ in range(2)]
            leap = dict.fromkeys(counters, LEAP * model.period)
            _compare_twins(model, twins, leap, batch, progress)


def _step(model: GenerativeModel, batch: Batch, progress: float, step: int) -> dict[str, Tensor]:
    with seeded(step):
        return model.training_step(batch, progress)


def _hyper_parameters(model: GenerativeModel) -> dict[str, Any]:
    return {
        f"{key} of optimizer {name!r}": group[key]
        for name, optimizer in model.optimizers.items()
        for group in optimizer.param_groups
        for key in HYPER_PARAMETERS
        if key in group
    }


def _compare_rates(rates: list[dict[str, Any]], period: int, progress: float) -> None:
    # The first period may initialise what __init__ left open.
    for earlier, later in zip(rates[period:], rates[2 * period :], strict=False):
        for name, value in earlier.items():
            assert later[name] == value, (
                f"{name} goes from {value} to {later[name]} while progress stands at "
                f"{progress:g}: let it follow progress, because under a budget of seconds the "
                "number of steps is unknown"
            )


def _compare_twins(
    model: GenerativeModel,
    twins: list[GenerativeModel],
    leap: dict[str, int],
    batch: Batch,
    progress: float,
) -> None:
    """Continue twice, once as if many more steps had been taken; both must learn the same."""
    results: list[dict[str, Any]] = []
    for twin, advance in zip(twins, ({}, leap), strict=True):
        # A copy for each: an optimizer goes on with the tensors that it loads.
        found = copy.deepcopy(state(model))
        twin.load_state_dict(_advanced(found["model"], advance))
        for name, optimizer in twin.optimizers.items():
            optimizer.load_state_dict(found["optimizers"][name])
        losses = [_step(twin, batch, progress, step) for step in range(twin.period)]
        results.append({"losses": losses, "weights": dict(twin.named_parameters())})
    different = differences(results[0], results[1])
    assert not different, (
        f"a step depends on the count of steps in {', '.join(leap)}: the same step with "
        f"{next(iter(leap.values()))} more on the count differs in {', '.join(different[:3])}; "
        "let schedules follow progress, and if kinds of steps take turns, set `period`"
    )


def _numbers(tree: Any, path: str = "") -> dict[str, float]:
    """Return the whole numbers in a tree of tensors and plain values, by path."""
    if isinstance(tree, Mapping):
        parts = [_numbers(value, f"{path}.{key}".lstrip(".")) for key, value in tree.items()]
    elif isinstance(tree, (list, tuple)):
        parts = [_numbers(value, f"{path}[{i}]") for i, value in enumerate(tree)]
    else:
        number = _number(tree)
        return {} if number is None else {path: number}
    return {name: number for part in parts for name, number in part.items()}


def _number(value: Any) -> float | None:
    if isinstance(value, Tensor):
        value = value.item() if value.numel() == 1 else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if float(value).is_integer() else None


def _counters(numbers: list[dict[str, float]]) -> list[str]:
    """Return the paths of numbers that grow by the same in every period."""
    found = []
    for path, last in numbers[-1].items():
        series = [each[path] for each in numbers if path in each]
        steps = {later - earlier for earlier, later in zip(series, series[1:], strict=False)}
        if len(series) == len(numbers) and len(steps) == 1 and last > series[0]:
            found.append(path)
    return found


def _advanced(tree: Any, leap: Mapping[str, int], path: str = "") -> Any:
    """Return a copy of a tree with ``leap`` added to the numbers at its paths."""
    if isinstance(tree, Mapping):
        return {k: _advanced(v, leap, f"{path}.{k}".lstrip(".")) for k, v in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(_advanced(v, leap, f"{path}[{i}]") for i, v in enumerate(tree))
    return tree + leap[path] if path in leap else tree
