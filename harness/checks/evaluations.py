"""The check that function evaluations can be counted, and set where a model lets them be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from harness.checks.sampling import check_examples
from harness.checks.subject import build, draw
from harness.contract import DataSpec, GenerativeModel, HasSteps


def check_evaluations(
    model_class: type[GenerativeModel], spec: DataSpec, overrides: Mapping[str, Any]
) -> None:
    """Sampling calls ``network``, and ``sampling_steps``, where there is one, sets how often."""
    model = build(model_class, spec, overrides).eval()
    if not isinstance(model, HasSteps):
        assert _evaluations(model), (
            "sample never calls self.network: its calls are the function evaluations in the table; "
            "let `network` be the module that sampling runs, and call it, not its forward"
        )
        return
    counts = {}
    for steps in (2, 4):
        model.sampling_steps = steps
        assert model.sampling_steps == steps, f"sampling_steps cannot be set to {steps}"
        counts[steps] = _evaluations(model)
    assert 0 < counts[2] < counts[4], (
        f"sample calls self.network {counts[2]} times with sampling_steps = 2 and {counts[4]} "
        "times with 4: let sample read self.sampling_steps, which is set after __init__"
    )


def _evaluations(model: GenerativeModel) -> int:
    with _counted_calls(model) as calls:
        check_examples(draw(model, 2), 2, model.spec, "sample")
    return len(calls)


@contextmanager
def _counted_calls(model: GenerativeModel) -> Iterator[list[None]]:
    calls: list[None] = []
    handle = model.network.register_forward_pre_hook(lambda module, args: calls.append(None))
    try:
        yield calls
    finally:
        handle.remove()
