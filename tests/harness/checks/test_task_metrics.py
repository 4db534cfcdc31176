"""The checks of task metrics: ours pass, and what is wrong in a metric is found."""

import importlib
from dataclasses import replace

import pytest
import torch

from harness.checks import NotApplicable
from harness.checks.task_metrics import task_metric_checks
from harness.metrics import harness_metrics
from harness.metrics.base import TaskMetric
from harness.metrics.label_accuracy import LabelAccuracy

INFOS = {info.name: info for info in harness_metrics() if info.conditions}


def checks(metric, info):
    return {check.name: check.run for check in task_metric_checks(metric, info)}


def load(info):
    module, attribute = info.target.split(":")
    return getattr(importlib.import_module(module), attribute)


@pytest.mark.parametrize("name", INFOS)
@pytest.mark.parametrize("check", ["answers", "batches"])
def test_our_task_metrics_pass(name, check):
    checks(load(INFOS[name]), INFOS[name])[check]()


def test_a_metric_that_points_the_wrong_way_is_found():
    turned = replace(INFOS["label_accuracy"], lower_is_better=True)
    with pytest.raises(AssertionError, match="turn that, or the sign"):
        checks(LabelAccuracy, turned)["answers"]()


class OneTooManyInABatch(LabelAccuracy):
    def update(self, batch):
        super().update(batch)
        self.count += 1


class Blind(TaskMetric):
    def update(self, batch):
        self.value = torch.tensor(0.5).double()

    def compute(self):
        return self.value


def test_a_metric_that_depends_on_batches_or_on_nothing_is_found():
    info = INFOS["label_accuracy"]
    with pytest.raises(AssertionError, match="batches of 7"):
        checks(OneTooManyInABatch, info)["batches"]()
    with pytest.raises(AssertionError, match="answer others'"):
        checks(Blind, info)["answers"]()


def test_a_truth_that_only_the_authors_data_has_is_not_made_up():
    info = replace(INFOS["label_accuracy"], truth="actions")
    with pytest.raises(NotApplicable, match="'actions'"):
        checks(Blind, info)["answers"]()
