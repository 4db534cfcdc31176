"""Every installed model against every check that applies to it; there is no list to keep."""

import pytest

from harness.checks import NotApplicable, check_samples, check_training_step, checks_for
from harness.checks.sizes import check_size
from harness.contract import DataSpec
from harness.plugins.papers import paper
from harness.plugins.registry import registry

SMALL = DataSpec.images((1, 8, 8), levels=17, classes=10)
LARGE = (
    DataSpec.images((1, 28, 28), levels=256, classes=10),
    DataSpec.images((3, 32, 32), levels=256),
)
ODD = (
    DataSpec.images((1, 1, 1), levels=2),
    DataSpec.images((1, 2, 2), levels=4),
    DataSpec.images((3, 5, 11), levels=9),
    DataSpec.images((1, 7, 7), levels=256),
    DataSpec.images((1, 8, 12), levels=17),
)
MODELS = {name: registry().load(entry.info) for name, entry in registry().models.items()}


def size(spec):
    return "x".join(map(str, spec.shape))


def run(check, *args):
    try:
        check(*args)
    except NotApplicable as reason:
        pytest.skip(str(reason))


def test_no_built_in_family_is_broken():
    assert [str(b) for b in registry().broken if b.distribution == "genharness"] == []
    assert MODELS


@pytest.mark.parametrize(
    "check",
    [
        pytest.param(check, id=f"{name}-{check.name}")
        for name, model_class in MODELS.items()
        for check in checks_for(model_class)
    ],
)
def test_model_keeps_the_contract(check):
    run(check.run, SMALL)


@pytest.mark.parametrize("spec", ODD, ids=size)
@pytest.mark.parametrize("name", MODELS)
def test_model_runs_at_odd_sizes_or_refuses_them(name, spec):
    run(check_size, MODELS[name], spec, {})


@pytest.mark.parametrize("name", MODELS)
def test_a_built_in_model_names_its_paper(name):
    entry = registry().models[name]
    if entry.distribution != "genharness":
        pytest.skip("of another distribution")
    assert paper(entry.info.target)


@pytest.mark.slow
@pytest.mark.parametrize("spec", LARGE, ids=size)
@pytest.mark.parametrize("check", [check_training_step, check_samples])
@pytest.mark.parametrize("name", MODELS)
def test_model_runs_at_the_sizes_of_the_standard_data(name, check, spec):
    run(check, MODELS[name], spec, {})
