"""Checks of a task metric, on data whose samples answer their conditions better and worse."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor

from harness.checks.outcome import BoundCheck
from harness.checks.subject import NotApplicable
from harness.contract import ArraySpec, DataSpec
from harness.dataset import Dataset, Split
from harness.features.base import FeatureExtractor, Features
from harness.hooks import MetricInfo
from harness.measurement.tasks import TaskScorer
from harness.metrics.base import TaskMetric

EXAMPLES, CLASSES, SIDE = 48, 4, 16
TOLERANCE = 1e-6
SHAPES = {"image": (1, SIDE, SIDE), "video": (2, 1, SIDE, SIDE), "audio": (1, 64), "text": (16,)}


def task_metric_checks(metric: type[TaskMetric], info: MetricInfo) -> list[BoundCheck]:
    """Return the checks of the column that ``info`` describes."""
    return [
        BoundCheck(
            function.__name__.removeprefix("check_"),
            (function.__doc__ or "").partition("\n")[0],
            partial(function, metric, info),
            metric,
            "update",
        )
        for function in (check_answers, check_batches)
    ]


def check_answers(metric: type[TaskMetric], info: MetricInfo) -> None:
    """Held-out examples, a little noisy, score better than those of other conditions."""
    for data in _data(info):
        x = _noisy(data)
        sign = -1 if info.lower_is_better else 1
        right, wrong = _value(metric, info, data, x), _value(metric, info, data, x.roll(1, 0))
        assert sign * (right - wrong) > 0, (
            f"samples that answer their conditions have {right:.4g}, and those that answer others' "
            f"{wrong:.4g}, with lower_is_better = {info.lower_is_better}: turn that, or the sign"
        )


def check_batches(metric: type[TaskMetric], info: MetricInfo) -> None:
    """The value does not depend on how samples come in batches."""
    for data in _data(info):
        x = _noisy(data)
        whole, parts = _value(metric, info, data, x), _value(metric, info, data, x, batch=7)
        assert math.isclose(whole, parts, rel_tol=TOLERANCE, abs_tol=TOLERANCE), (
            f"{len(x)} samples in one batch have {whole:.9g}, and {parts:.9g} in batches of 7: sum "
            "over all batches, and divide in compute"
        )


class _Corner(FeatureExtractor):
    """A classifier that reads the class off the first value."""

    digest = "0" * 64
    dimensions = 1
    classes = CLASSES
    batch_size = EXAMPLES

    def forward(self, x: Tensor) -> Features:
        first = x.flatten(1)[:, :1].float() / 60
        return Features(first, -(first - torch.arange(CLASSES, device=x.device)).abs())


def _data(info: MetricInfo) -> Iterator[Dataset]:
    """Yield paired data of each kind of condition, whose first value of x is a class."""
    if info.truth:
        raise NotApplicable(f"it needs a truth of the data, {info.truth!r}: try it on your own")
    random = np.random.default_rng(0)
    for kind in info.conditions:
        x_kind = "image" if kind == "label" else kind
        shape = SHAPES[x_kind]
        x = random.integers(0, 200, (EXAMPLES, *shape)).astype(np.uint8)
        labels = np.arange(EXAMPLES) % CLASSES
        x.reshape(EXAMPLES, -1)[:, 0] = 60 * labels
        array = ArraySpec(x_kind, shape)  # type: ignore[arg-type]
        condition = ArraySpec("label", (), CLASSES) if kind == "label" else array
        split = Split(x, labels if kind == "label" else x)
        yield Dataset(kind, DataSpec(array, condition), split, split, split)


def _noisy(data: Dataset) -> Tensor:
    noise = torch.randint(1, 9, data.test.x.shape, generator=torch.Generator().manual_seed(0))
    return torch.from_numpy(data.test.x) + noise.to(torch.uint8)


def _value(
    metric: type[TaskMetric], info: MetricInfo, data: Dataset, x: Tensor, batch: int = EXAMPLES
) -> float:
    extractor = _Corner(data.spec)
    extractor.batch_size = batch  # type: ignore[misc]
    if reason := metric.supports(data.spec, extractor.classes):
        raise NotApplicable(reason)
    scorer = TaskScorer(data, extractor, {info.name: (metric, info)}, torch.device("cpu"))
    found = scorer.score([x])[info.name]
    assert found.value is not None, f"it has no value: {found.reason}"
    return found.value
