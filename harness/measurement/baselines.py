"""Reference rows: the floor and the ceiling of every table."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from harness.dataset import Dataset
from harness.machine.seeding import NULL, derive
from harness.measurement.figures import Metrics
from harness.measurement.likelihood import likelihood_details, likelihood_protocol
from harness.measurement.references import HELD_OUT
from harness.measurement.scorer import SampleScorer
from harness.measurement.tasks import TaskScorer
from harness.metrics.anchors import COMPRESSORS, COUNTED, ContextCounts, code_length
from harness.metrics.likelihood import BitsPerDimension
from harness.row import Measurement


def measure_real(
    dataset: Dataset, scorer: SampleScorer, tasks: TaskScorer, n: int
) -> tuple[Metrics, Tensor]:
    """Score ``n`` real test examples as if a model had drawn them; return the examples too."""
    chosen = chosen_examples(dataset, n)
    images = torch.from_numpy(dataset.test.x)[chosen]
    metrics = scorer.score([images])
    if dataset.spec.paired:
        metrics |= tasks.score([images], chosen)
    for name in metrics:
        if name.endswith(f"_{HELD_OUT}"):
            metrics[name] = Measurement(value=None, reason="the test set against itself")
    for name, metric in scorer.metrics.items():
        if name in metric.held_out_columns:
            metrics[name] = Measurement(value=None, reason="the test set against itself")
    return metrics, images


def chosen_examples(dataset: Dataset, n: int) -> Tensor:
    """Return which ``n`` test examples stand for all, at random unless they are all."""
    order = torch.randperm(len(dataset.test), generator=torch.Generator().manual_seed(0))
    return torch.arange(n) if n == len(order) else order[:n]


def measure_null(
    dataset: Dataset,
    scorer: SampleScorer,
    tasks: TaskScorer,
    n: int,
    lower_is_better: Mapping[str, bool],
) -> tuple[Metrics, Tensor]:
    """Score uniform noise and the mean training image, and keep the better of the two per metric.

    Its likelihood is that of uniform noise: log2(levels) bits/dim, exactly.
    """
    spec = dataset.spec
    generator = torch.Generator().manual_seed(derive(0, NULL))
    noise = torch.randint(spec.levels, (n, *spec.shape), generator=generator, dtype=torch.uint8)
    average = np.rint(dataset.train.x.mean(axis=0)).astype(np.uint8)
    mean = torch.from_numpy(average).expand(n, *spec.shape)
    scored = {
        kind: scorer.score([x]) | tasks.score([x])
        for kind, x in (("uniform noise", noise), ("mean image", mean))
    }
    metrics: Metrics = {}
    for name in scored["uniform noise"]:
        lower = lower_is_better.get(name.removesuffix(f"_{HELD_OUT}"), True)
        metrics[name] = _better({kind: found[name] for kind, found in scored.items()}, lower)
    metrics["bits_per_dim"] = Measurement(
        value=math.log2(spec.levels),
        kind="exact",
        protocol=f"uniform over {spec.levels} levels, in closed form",
        details=likelihood_details(spec),
    )
    half = n // 2
    return metrics, torch.cat([noise[: n - half], mean[:half]])


def measure_anchors(dataset: Dataset, images: int | None = None) -> Metrics:
    """Score test images with models too simple to be entries, named bits_per_dim_MODEL.

    A model whose likelihood is no better has learnt nothing beyond counts.

    Args:
        dataset: its train split is counted.
        images: of the test split, the first that many; all by default.
    """
    spec = dataset.spec
    train = dataset.train.x.reshape(-1, *spec.x.planes)
    chosen = dataset.test.x[:images].reshape(-1, *spec.x.planes)
    scored, details = likelihood_protocol(len(chosen), spec), likelihood_details(spec, len(chosen))
    counted = f"; counts of {len(dataset.train)} images of train, plus one"
    metrics: Metrics = {}
    for name, context in COUNTED.items():
        model = ContextCounts(train, spec.levels, context)
        bits = BitsPerDimension(spec.dimensions)
        bits.update(torch.from_numpy(model.log_likelihood(chosen)), "exact")
        metrics[f"bits_per_dim_{name}"] = Measurement(
            value=float(bits.compute()),
            error=float(bits.standard_error) if len(chosen) > 1 else None,
            kind="exact",
            protocol=scored + counted,
            details=details,
        )
    for name in COMPRESSORS:
        metrics[f"bits_per_dim_{name}"] = Measurement(
            value=code_length(chosen, name),
            kind="lower_bound",
            protocol=f"{scored}; compressed as one stream of bytes",
            details=details,
        )
    return metrics


def _better(candidates: Mapping[str, Measurement], lower: bool) -> Measurement:
    valued = {kind: m for kind, m in candidates.items() if m.value is not None}
    if not valued:
        return next(iter(candidates.values()))
    choose = min if lower else max
    kind = choose(valued, key=lambda kind: valued[kind].value or 0.0)
    others = ", ".join(f"{k} {m.value:.4g}" for k, m in valued.items() if k != kind)
    found = valued[kind]
    protocol = f"{found.protocol}; {kind}" + (f" (better than {others})" if others else "")
    return found.model_copy(update={"protocol": protocol})
