"""Checks of data sets, metrics and reports: no false alarm, and each mistake is caught."""

import itertools
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from harness.checks.datasets import dataset_checks
from harness.checks.metrics import metric_checks
from harness.checks.named import checks_of, kind_of
from harness.checks.outcome import Verdict, outcomes_of
from harness.checks.reports import report_checks, results_of
from harness.contract import DataSpec
from harness.dataset import Dataset, Split
from harness.errors import UserError
from harness.hooks import MetricInfo
from harness.metrics.base import SampleMetric
from harness.plugins.kinds import Kind
from harness.plugins.registry import registry


def unsound(checks):
    """Return name and message of each check that is not content."""
    return {each.name: each.message for each in outcomes_of(checks) if not each.is_sound}


INSTALLED = [
    *[(name, Kind.metric) for name in registry().metrics],
    *[(name, Kind.report) for name in registry().reports if name != "html"],
    *[(name, Kind.dataset) for name in ("digits", "known-density:markov")],
]


@pytest.mark.parametrize(("name", "kind"), INSTALLED)
def test_what_is_built_in_passes(name, kind):
    assert unsound(checks_of(name, kind, registry())) == {}


@pytest.mark.slow
def test_the_page_passes():
    assert unsound(checks_of("html", Kind.report, registry())) == {}


# Data sets


def images(n=60, seed=0):
    drawn = np.random.default_rng(seed).integers(0, 5, (n, 1, 4, 4), dtype=np.uint8)
    return Split(drawn, np.arange(n) % 3)


def sound(**changes):
    splits = {name: images(seed=i) for i, name in enumerate(("train", "validation", "test"))}
    return Dataset("toy", DataSpec.images((1, 4, 4), levels=5, classes=3), **splits | changes)


def test_a_sound_data_set_passes():
    assert [each.verdict for each in outcomes_of(dataset_checks("toy", sound))] == ["passed"] * 5


SEEDS = itertools.count(100)


def unseeded():
    return sound(train=images(seed=next(SEEDS)))


def train_in_test():
    return sound(test=replace(images(seed=2), x=images(seed=0).x))


def validation_in_train():
    return sound(validation=images(seed=0))


def levels_of_a_byte():
    return replace(sound(), spec=DataSpec.images((1, 4, 4), levels=256, classes=3))


def a_class_too_many():
    return replace(sound(), spec=DataSpec.images((1, 4, 4), levels=5, classes=4))


def floats():
    return sound(train=Split(images().x / 4, images().y))


def raises():
    raise FileNotFoundError("no images here")


@pytest.mark.parametrize(
    ("load", "check", "cause"),
    [
        (unseeded, "repeatable", "need a fixed seed"),
        (train_in_test, "splits", "60 of 60 images of test are in train too"),
        (validation_in_train, "splits", "60 of 60 images of validation are in train too"),
        (levels_of_a_byte, "levels", "write levels=5"),
        (a_class_too_many, "labels", r"1 of 4 classes \(3\)"),
        (floats, "form", "uint8"),
        (raises, "form", "FileNotFoundError: no images here"),
    ],
)
def test_a_mistake_in_a_data_set_is_caught_by_one_check(load, check, cause):
    found = unsound(dataset_checks("toy", load))
    assert list(found) == [check]
    assert re.search(cause, found[check]), found


# Metrics


class MeanGap(SampleMetric):
    """Distance of the means, right."""

    def __init__(self, reference):
        super().__init__(reference)
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("total", torch.zeros(8, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, features):
        self.count += len(features.vectors)
        self.total += self.taken(features.vectors).sum(0)

    def taken(self, vectors):
        if not vectors.isfinite().all():
            raise ValueError("not finite")
        return vectors.double()

    def compute(self):
        if not self.count:
            raise ValueError("no images")
        return (self.total / self.count - self.reference.moments.mean).square().sum()


class MeanOfBatches(MeanGap):
    def update(self, features):
        self.count += 1
        self.total += self.taken(features.vectors).mean(0)


class TakesNaN(MeanGap):
    def taken(self, vectors):
        return vectors.double().nan_to_num()


class DividesByZero(MeanGap):
    def compute(self):
        return super().compute() if self.count else torch.tensor(1 / int(self.count))


class SinglePrecision(MeanGap):
    def compute(self):
        return super().compute().float()


class OutsideItsLimits(MeanGap):
    limits = {"gap": (0.0, 1.0)}


class Upside(MeanGap):
    def compute(self):
        return -super().compute()


INFO = MetricInfo(name="gap", summary="", target="toy:MeanGap", label="gap")


def test_a_sound_metric_passes():
    assert unsound(metric_checks(MeanGap, INFO)) == {}
    assert unsound(metric_checks(Upside, replace(INFO, lower_is_better=False))) == {}


@pytest.mark.parametrize(
    ("metric", "info", "check", "cause"),
    [
        (MeanOfBatches, INFO, "order", "in batches of 37: sum in float64"),
        (TakesNaN, INFO, "refusals", "NaN among the features: the value is"),
        (DividesByZero, INFO, "refusals", "no samples: ZeroDivisionError"),
        (SinglePrecision, INFO, "figure", "torch.float32"),
        (OutsideItsLimits, INFO, "direction", "its `limits` exclude its value"),
        (Upside, INFO, "direction", "lower is better, says lower_is_better = True"),
        (MeanGap, replace(INFO, lower_is_better=False), "direction", "turn `lower_is_better`"),
    ],
)
def test_a_mistake_in_a_metric_is_caught_by_one_check(metric, info, check, cause):
    found = unsound(metric_checks(metric, info))
    assert list(found) == [check]
    assert cause in found[check]


# Reports


def lines(results):
    return [f"{row.label} {row.status}" for row in results.rows]


def plain(results, folder):
    path = folder / "plain.txt"
    path.write_text("\n".join(lines(results)), encoding="utf-8")
    return path


def first_row_alone(results, folder):
    results.rows[0].label.upper()
    return plain(results, folder)


def every_row_has_figures(results, folder):
    sum(row.metrics["fid"].value for row in results.rows)
    return plain(results, folder)


def ascii_alone(results, folder):
    (folder / "plain.txt").write_text("\n".join(lines(results)), encoding="ascii")
    return folder / "plain.txt"


def names_are_paths(results, folder):
    for row in results.rows:
        (folder / row.label).write_text(row.status)
    return plain(results, folder)


def counts(results, folder):
    path = plain(results, folder)
    path.write_text(str(next(SEEDS)))
    return path


def returns_text(results, folder):
    return str(plain(results, folder))


def test_a_sound_report_passes():
    assert unsound(report_checks(plain)) == {}


@pytest.mark.parametrize(
    ("write", "checks", "cause"),
    [
        (first_row_alone, ["no_rows"], "IndexError"),
        (every_row_has_figures, ["one_row", "many_rows", "names", "bytes"], "KeyError: 'fid'"),
        (ascii_alone, ["names"], "UnicodeEncodeError"),
        (names_are_paths, ["names"], "FileNotFoundError"),
        (counts, ["bytes"], "written twice with different bytes"),
        (
            returns_text,
            ["no_rows", "one_row", "many_rows", "names", "bytes"],
            "the path of the file",
        ),
    ],
)
def test_a_mistake_in_a_report_is_caught(write, checks, cause):
    found = unsound(report_checks(write))
    assert list(found) == checks
    assert cause in found[checks[0]]


def test_what_reports_are_checked_with_has_every_ending_and_no_two_trials_of_one_id():
    from harness.checks.reports import _many

    rows = results_of(_many()).rows
    assert {row.status for row in rows} >= {"ok", "skipped", "diverged", "error", "killed"}
    assert len({row.trial for row in rows}) == len(rows)


# What a name means


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("vae", "model"),
        ("fid", "metric"),
        ("latex", "report"),
        ("mnist", "dataset"),
        ("known-density:markov", "dataset"),
        ("harness.metrics.frechet:FrechetDistance", "metric"),
        ("support.toy_models:TwoStages", "model"),
    ],
)
def test_the_kind_follows_from_the_name(name, kind):
    assert kind_of(name, registry()) is Kind(kind)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fdi", "did you mean 'fid'"),
        ("harness_datasets.digits:load", "is a function: add --kind dataset or --kind report"),
        ("support.toy_models:ToyConfig", "not a subclass of harness.contract.GenerativeModel"),
    ],
)
def test_a_name_of_no_kind_is_the_users_mistake(name, message):
    with pytest.raises(UserError, match=message):
        kind_of(name, registry())


def test_an_import_string_is_checked_as_what_the_user_says():
    checks = checks_of("harness_datasets.digits:load", Kind.dataset, registry())
    assert {each.verdict for each in outcomes_of(checks)} == {Verdict.passed}
