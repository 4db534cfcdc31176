"""How fast a model samples, and what one image costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from harness.measurement.figures import Metrics, guarded, ignore
from harness.measurement.sampling import Sampler
from harness.metrics.speed import Speed, sampling_speed
from harness.row import Measurement


def measure_speed(
    sampler: Sampler,
    batch_sizes: Sequence[int],
    seconds: float,
    on_batch: Callable[[], None] = ignore,
) -> Metrics:
    """Time sampling: images/s at the largest batch, latency of one image; count its cost."""
    measured: Metrics = {}
    largest = max(batch_sizes)
    speeds: dict[int, Speed] = {}
    for size in sorted({1, *batch_sizes}):
        stands_for = [n for n, of in (("latency", 1), ("images_per_second", largest)) if of == size]
        with guarded(stands_for, measured):
            [speed] = sampling_speed(
                lambda n: sampler.draw_batch(n, sampler.conditions(n)),
                [size],
                sampler.device,
                seconds=seconds,
            )
            if not speed.seconds > 0:
                raise ValueError("the clock stood still during a call")
            speeds[size] = speed
        on_batch()
    if fast := speeds.get(largest):
        measured["images_per_second"] = Measurement(
            value=fast.images_per_second,
            error=fast.spread,
            protocol=f"median of {fast.repetitions} batches of {largest}, warm, {_on(sampler)}",
            details={
                f"batch_{size}": speed.images_per_second
                for size, speed in speeds.items()
                if size != largest
            },
        )
    if one := speeds.get(1):
        measured["latency"] = Measurement(
            value=one.seconds,
            protocol=f"median seconds of {one.repetitions} batches of 1, {_on(sampler)}",
            details={"p95": one.p95},
        )
    with guarded(("nfe", "flops_per_image"), measured):
        cost = sampler.cost()
        measured["nfe"] = Measurement(
            value=cost.evaluations, protocol="calls of the network per batch"
        )
        without = ", ".join(f"{name} ({calls} per batch)" for name, calls in cost.uncounted.items())
        measured["flops_per_image"] = Measurement(
            value=cost.flops,
            kind="at_least" if cost.uncounted else None,
            protocol="counted by dispatch" + (f"; without a formula: {without}" if without else ""),
        )
    return measured


def _on(sampler: Sampler) -> str:
    """Return the hardware part of a timing's protocol."""
    if sampler.device.type == "cpu":
        return f"{torch.get_num_threads()} threads"
    return sampler.device.type
