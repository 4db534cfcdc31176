"""Planted mistakes are each caught by the check that is meant for them, which names the cause."""

import re

import pytest
from support.mutants import MUTANTS, ORIGINALS

from harness.checks import NotApplicable, checks_for
from harness.contract import DataSpec

SPEC = DataSpec.images((1, 4, 4), levels=5, classes=3)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.model_class.__name__)
def test_a_mutant_is_caught_by_the_check_meant_for_it(mutant):
    [check] = (c for c in checks_for(mutant.model_class) if c.name == mutant.check)
    with pytest.raises(AssertionError) as caught:
        check.run(SPEC)
    assert re.search(mutant.cause, str(caught.value)), caught.value


@pytest.mark.parametrize(
    "check",
    [
        pytest.param(check, id=f"{model_class.__name__}-{check.name}")
        for model_class in ORIGINALS
        for check in checks_for(model_class)
    ],
)
def test_what_was_mutated_passes_every_check(check):
    try:
        check.run(SPEC)
    except NotApplicable as reason:
        pytest.skip(str(reason))


def test_every_check_catches_a_mutant():
    every = {check.name for model in ORIGINALS for check in checks_for(model)}
    assert {mutant.check for mutant in MUTANTS} == every
