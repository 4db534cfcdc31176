"""What is told of a model from its class agrees with what its instances are."""

from dataclasses import dataclass
from typing import Literal

import pytest
import torch
from support.toy_models import Histogram, TwoPlayers, TwoStages

from harness import contract
from harness.contract import DataSpec, GenerativeModel, LogLikelihood, setting
from harness.plugins.capabilities import (
    HyperParameter,
    capabilities,
    describe,
    likelihood_kind,
    settings,
)
from harness.plugins.registry import registry

CAPABILITIES = ("HasLikelihood", "HasLatent", "HasEncoder", "HasSteps")
SPEC = DataSpec.images((1, 8, 8), levels=17, classes=10)
INSTALLED = [registry().load(entry.info) for entry in registry().models.values()]


@pytest.mark.parametrize(
    "model_class",
    [Histogram, TwoPlayers, TwoStages, *INSTALLED],
    ids=lambda model_class: model_class.__name__,
)
def test_a_class_has_the_capabilities_of_its_instances(model_class):
    model = model_class(SPEC, model_class.Config())
    found = [name for name in CAPABILITIES if isinstance(model, getattr(contract, name))]
    found += [f"takes {kind}" for kind in sorted(model.takes)]
    assert list(capabilities(model_class)) == found


@pytest.mark.parametrize("model_class", INSTALLED, ids=lambda model_class: model_class.__name__)
def test_the_kind_of_a_likelihood_is_that_of_its_values(model_class):
    message = likelihood_kind(model_class)
    if "HasLikelihood" not in capabilities(model_class):
        assert message is None
        return
    spec = DataSpec.images((1, 2, 2), levels=4)
    model = model_class(spec, model_class.Config()).eval()
    with torch.no_grad():
        assert message == model.log_likelihood(torch.zeros(1, 1, 2, 2, dtype=torch.uint8)).kind


def test_a_kind_that_only_scoring_would_reveal_is_unknown():
    class Undecided(Histogram):
        def log_likelihood(self, x, y=None):
            nats = super().log_likelihood(x).nats
            return LogLikelihood(nats, "exact") if len(nats) else LogLikelihood(nats, "estimate")

    class Passed(Histogram):
        def log_likelihood(self, x, y=None):
            return super().log_likelihood(x)

    assert likelihood_kind(Undecided) is None and likelihood_kind(Passed) is None


def test_settings_are_read_from_the_config_in_order():
    @dataclass(frozen=True)
    class Config:
        batch_size: int = setting(8, "images per step")
        sampler: Literal["a", "b"] = setting("b", "how")
        share: "float" = setting(0.5, "of what")

    assert settings(Config) == (
        HyperParameter("batch_size", "int", 8, "images per step"),
        HyperParameter("sampler", "Literal['a', 'b']", "b", "how"),
        HyperParameter("share", "float", 0.5, "of what"),
    )


def test_stages_are_reported():
    assert [name for name, _ in describe(TwoStages).stages] == [n for n, _ in TwoStages.stages]
    assert describe(Histogram).stages == GenerativeModel.stages
