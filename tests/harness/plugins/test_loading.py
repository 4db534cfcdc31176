"""What plugins bring is held to its contract when it is loaded, and named where it is not."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest
import torch
from support.broken_models import Table, having
from support.installed import registry_with
from support.launching import Heard, Instant
from support.toys import SPEC, dataset, split

from harness.contract import DataSpec, GenerativeModel, setting
from harness.dataset import Split
from harness.errors import UserError
from harness.features.base import FeatureExtractor
from harness.features.pixels import Pixels
from harness.launchers.agenda import Agenda
from harness.launchers.local import LocalLauncher
from harness.planning.benchmark import parse_benchmark
from harness.planning.resolution import resolve
from harness.plugins.loading import load_config, load_dataset, load_metric, load_model
from harness.storage.store import Store

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = """
name = "mine"
datasets = ["digits", "toy"]
models = ["toy", {model = "vae", settings = {batch_size = 16}}]
budget = "3 steps"
references = false
[evaluation]
metrics = ["fid"]
"""


def toy():
    return dataset()


def planned(patch, source=SOURCE, **brought):
    kept = {"datasets": {"toy": toy}, "models": {"toy": Table}} | brought
    return resolve(parse_benchmark(source, "mine.toml"), registry_with(patch, **kept))


class Config:
    """A frozen dataclass with one field more than it needs, or whatever it is made of."""

    @staticmethod
    def of(annotation: Any, default: Any = 1, **more: Any) -> type:
        name = {"batch_size": int, "hidden": annotation}
        body = {"__annotations__": name, "batch_size": 8, "hidden": default, **more}
        return dataclass(frozen=True)(type("Config", (), body))


@dataclass(frozen=True)
class TypeChecking:
    folder: Path | None = None
    batch_size: int = 8


@dataclass
class Changeable:
    batch_size: int = 8


@dataclass(frozen=True)
class WithoutBatchSize:
    hidden: int = 8


@dataclass(frozen=True)
class WithoutAnnotation:
    batch_size: int = setting(8, "images per step")
    hidden = 3


@dataclass(frozen=True)
class WithConstant:
    batch_size: int = 8
    constant: ClassVar[int] = 7


@dataclass(frozen=True)
class Raising:
    batch_size: int = 8

    def __post_init__(self) -> None:
        {}["hidden"]


class Plain:
    batch_size = 8


CONFIGS = [
    (None, "Config is None, not a dataclass; the contract asks for a class under @dataclass"),
    (Plain, "Config is the class Plain, not a dataclass"),
    (Changeable, r"Config is mutable; write @dataclass\(frozen=True\)"),
    (WithoutBatchSize, "Config has no batch_size"),
    (WithoutAnnotation, "Config.hidden has no annotation.*write 'hidden: int = 3'"),
    (TypeChecking, "Config.folder has an annotation that does not resolve .*'Path'.*TYPE_CHECKING"),
    (Config.of("Nowhere"), "Config.hidden has an annotation that does not resolve.*Nowhere"),
    (Config.of(torch.dtype, torch.float32), "Config.hidden is of a type that a file cannot set"),
    (Config.of(np.ndarray, None), "Config.hidden is of a type that a file cannot set"),
    (Config.of(Callable, torch.relu), "hidden is a builtin_function_or_method by default, which"),
    (
        Config.of(Any, lambda x: x),
        "Config.hidden is a function by default, which cannot be written",
    ),
    (Config.of(type, torch.nn.ReLU), "Config.hidden is the class ReLU by default"),
    (Config.of(int, 0.5), r"Config.hidden: 0.5: .*\(its own default does not fit its type\)"),
    (Config.of(Any, (1, 2)), r"Config.hidden is \(1, 2\), but \[1, 2\] after being written"),
    (Config.of(int, 3, batch_size="8"), "Config.batch_size is '8'; the contract asks for an int"),
    (Config.of(int, 3, batch_size=True), "Config.batch_size is true; the contract asks for an int"),
    (Raising, "KeyError in Config: 'hidden'"),
]


@pytest.mark.parametrize(("config", "message"), CONFIGS)
def test_a_config_that_breaks_the_contract_is_refused_by_name(config, message, monkeypatch):
    model = having(Config=config)
    with pytest.raises(UserError, match=message) as caught:
        planned(monkeypatch, models={"toy": model})
    assert "toy" in str(caught.value)


class Kind(Enum):
    wide = "wide"


@pytest.mark.parametrize(
    "config",
    [
        Config.of(tuple[int, ...], (1, 2)),
        Config.of("float", np.float64(0.5)),
        Config.of(str | None, None),
        Config.of(Kind, Kind.wide),
        WithConstant,
        dataclasses.make_dataclass(
            "Base",
            [("batch_size", int, 8), ("sizes", list, field(default_factory=list))],
            frozen=True,
        ),
    ],
)
def test_what_can_be_written_to_a_file_and_read_is_a_setting(config, monkeypatch):
    registry = registry_with(monkeypatch, models={"toy": having(Config=config)})
    model = load_model(registry, "toy")
    assert load_config(registry.model("toy"), model, {}, "here") == config()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (3, "it is an int; the contract asks for a subclass of harness.contract.GenerativeModel"),
        (lambda spec, config: None, "it is a function; the contract asks for a subclass"),
        (torch.nn.Linear, "it is the class Linear; the contract asks for a subclass"),
        (type("Half", (GenerativeModel,), {}), "Half does not define sample, training_step"),
    ],
)
def test_a_model_that_is_none_is_refused_by_name(model, message, monkeypatch):
    with pytest.raises(UserError, match=rf"models.0: model 'toy' of .*plugin_at_hand.*: {message}"):
        planned(monkeypatch, models={"toy": model})


def changed(**parts):
    """A toy data set with another part."""
    return lambda: dataclasses.replace(dataset(), **parts)


def images(array, labels=True, of="train"):
    numbers = np.zeros(len(array), np.int64) if labels is True else labels
    return changed(**{of: Split(array, numbers)})


GOOD = split(8).x
DATASETS = [
    (3, "it is an int; expected a function"),
    (lambda: None, "its function returned None; expected a harness.dataset.Dataset"),
    (lambda: 1 / 0, r"raised ZeroDivisionError: division by zero \(test_loading.py:"),
    (changed(name="digits"), "its name is 'digits'; expected 'toy'"),
    (changed(spec=(1, 2, 2)), "its spec is a tuple; expected a harness.contract.DataSpec"),
    (
        changed(spec=DataSpec.images((2, 2), 4, 3)),
        r"the shape \(2, 2\); image has 3 axes",
    ),
    (changed(spec=DataSpec.images([1, 2, 2], 4, 3)), r"the shape \[1, 2, 2\]; image has 3 axes"),
    (changed(spec=DataSpec.images((1, 2, 2), 300, 3)), "300 levels; expected 2 to 256"),
    (changed(spec=DataSpec.images((1, 2, 2), 4, -1)), "y of its spec has -1 levels"),
    (
        changed(spec=DataSpec.images((1, 2, 3), 4, 3)),
        r"images of train are .*\(60, 1, 2, 2\).*\(N, 1, 2, 3\)",
    ),
    (
        changed(spec=DataSpec.images((1, 2, 2), 3, 3)),
        "images of train have values from 0 to 3; .* 3 levels, 0 to 2",
    ),
    (
        changed(spec=DataSpec.images((1, 2, 2), 4, 2)),
        "labels of train have values from 0 to 2.* 2 classes, 0 to 1",
    ),
    (
        changed(spec=DataSpec.images((1, 2, 2), 4, 0)),
        "train split has a condition y",
    ),
    (changed(test=None), "its test split is None; expected a harness.dataset.Split"),
    (changed(validation=(GOOD, None)), "its validation split is a tuple"),
    (changed(entropy=float("nan")), "its entropy is nan"),
    (images(GOOD.astype(np.float32)), r"images of train are <f4 .*uint8 \(N, 1, 2, 2\)"),
    (images(torch.from_numpy(GOOD)), "images of train are a tensor torch.uint8"),
    (images(GOOD[:0]), "the train split has no images"),
    (images(GOOD[:, :, :1], of="test"), r"images of test are \|u1 \(8, 1, 1, 2\)"),
    (images(GOOD, labels=None), "the train split has no labels as condition y; its spec has them"),
    (images(GOOD, labels=np.zeros(8, np.int32)), r"labels of train are <i4 \(8,\).*int64 \(8,\)"),
    (images(GOOD, labels=np.zeros(7, np.int64)), r"labels of train are <i8 \(7,\).*int64 \(8,\)"),
    (images(GOOD, labels=np.zeros(8, ">i8")), r"labels of train are >i8 \(8,\)"),
    (images(GOOD, labels=[0] * 8), "labels of train are a list"),
    (images(GOOD, labels=np.full(8, -1)), "labels of train have values from -1 to -1"),
]


@pytest.mark.parametrize(("load", "message"), DATASETS)
def test_a_data_set_that_is_none_is_refused_by_name(load, message, monkeypatch):
    registry = registry_with(monkeypatch, datasets={"toy": load})
    with pytest.raises(UserError, match=rf"data set 'toy' of .*plugin_at_hand.* {message}"):
        load_dataset(registry, "toy")


def test_images_in_another_order_of_memory_are_put_in_order(monkeypatch):
    turned = images(GOOD[:, :, ::-1])
    registry = registry_with(monkeypatch, datasets={"toy": turned})
    found = load_dataset(registry, "toy").train.x
    assert np.array_equal(found, GOOD[:, :, ::-1])
    assert torch.from_numpy(found).shape == (8, 1, 2, 2)


@pytest.mark.parametrize(
    ("load", "message"),
    [
        (images(GOOD[:1], of="test"), "'toy': the test split has 1 image, metrics need 2"),
        (images(GOOD[:1]), "'toy': the train split has 1 image, metrics need 2"),
        (images(GOOD[:7]), r"models.0.settings \(toy\).batch_size: 8 is more than the 7 training"),
    ],
)
def test_too_few_images_are_refused_by_the_plan(load, message, monkeypatch):
    with pytest.raises(UserError, match=message):
        planned(monkeypatch, datasets={"toy": load})


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (lambda reference: None, "it is a function; the contract asks for a subclass of"),
        (FeatureExtractor, "it is the class FeatureExtractor; the contract asks for a subclass of"),
    ],
)
def test_a_metric_that_is_none_is_refused_by_the_plan(metric, message, monkeypatch):
    source = SOURCE.replace('["fid"]', '["fid", "odd"]')
    with pytest.raises(UserError, match=rf"evaluation.metrics: metric 'odd' of .*: {message}"):
        planned(monkeypatch, source, metrics={"odd": metric})
    assert load_metric(registry_with(monkeypatch), "fid").__name__ == "FrechetDistance"


def supporting(answer):
    @classmethod
    def supports(cls, spec):
        return answer(spec)

    return having(supports=supports)


SUPPORTS = [
    (lambda spec: [][spec.classes], r"toy.supports raised IndexError: .* \(test_loading.py:"),
    (lambda spec: False, "supports returned False; the contract asks for the reason"),
    (lambda spec: "", "supports returned ''; the contract asks for the reason"),
    (lambda spec: (True, "fine"), r"supports returned \(True, 'fine'\); the contract"),
]


@pytest.mark.parametrize(("answer", "reason"), SUPPORTS)
def test_supports_that_fails_costs_its_own_trials(answer, reason, monkeypatch, tmp_path):
    trials = planned(monkeypatch, models={"toy": supporting(answer)})
    assert {(t.model, t.fault is None) for t in trials} == {("toy", False), ("vae", True)}
    rows = carried_out(trials, tmp_path)
    assert {row.status for row in rows["toy"]} == {"error"}
    assert {row.status for row in rows["vae"]} == {"ok"}
    for row in rows["toy"]:
        assert row.reason and re.search(reason, row.reason)


def carried_out(trials, folder):
    """Rows by model, of workers that end at once."""
    store = Store(folder, "mine")
    store.prepare()
    LocalLauncher(["cpu"], starter=Instant()).run(Agenda(trials, store, Heard()))
    rows: dict[str, list] = {}
    for trial in trials:
        rows.setdefault(trial.model, []).append(store.row(trial.id))
    return rows


class Blind(Pixels):
    def __init__(self, spec):
        raise OSError("the lens is gone")


class Nameless(Pixels):
    def __init__(self, spec):
        super().__init__(spec)
        self.digest = None


EXTRACTORS = [
    (Blind, r"features 'odd' raised OSError: the lens is gone \(test_loading.py:"),
    (Nameless, "features 'odd' of .*: digest is None; the contract asks for text"),
    (lambda spec: None, "features 'odd' of .*: None is not an extractor; the contract asks for"),
    (torch.nn.Linear, "features 'odd' of .*: the class Linear is not an extractor"),
]


@pytest.mark.parametrize(("extractor", "reason"), EXTRACTORS)
def test_an_extractor_that_fails_costs_its_own_trials(extractor, reason, monkeypatch):
    only = SOURCE.replace("[evaluation]", '[evaluation]\nfeatures = "odd"')
    trials = planned(monkeypatch, only, features={"odd": extractor})
    for trial in trials:
        assert trial.fault and re.search(reason, trial.fault)


def test_features_of_other_images_are_the_users_to_choose(monkeypatch):
    only = SOURCE.replace("[evaluation]", '[evaluation]\nfeatures = "digits-classifier"')
    with pytest.raises(UserError, match="evaluation.features: features .* do not measure toy: "):
        planned(monkeypatch, only)
    assert SPEC.classes == 3
