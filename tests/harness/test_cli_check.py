"""harness check, and the same checks as parameters of an author's tests."""

import json

import pytest
from support.mutants import NeverReachesStageTwo
from support.toy_models import TwoStages
from typer.testing import CliRunner

from harness.checks import outcome as outcome_module
from harness.checks.outcome import Verdict, outcomes
from harness.checks.parameters import DIGITS, pytest_parameters
from harness.cli import app
from harness.contract import DataSpec
from harness.errors import UserError

SPEC = DataSpec((1, 4, 4), levels=5, classes=3)


def told(*words):
    return CliRunner().invoke(app, ["check", *words])


def test_a_sound_model_ends_with_zero():
    answer = told("support.toy_models:TwoStages", "--json")
    assert answer.exit_code == 0
    found = json.loads(answer.output)
    assert found["passed"]
    assert found["spec"]["levels"] == DIGITS.levels
    assert {check["verdict"] for check in found["checks"]} <= {"passed", "not applicable"}
    assert all(check["reason"] for check in found["checks"])


def test_a_broken_model_ends_with_one_and_tells_what_and_where():
    answer = told("support.mutants:NeverReachesStageTwo")
    assert answer.exit_code == 1
    assert 'optimizer "prior" moved no parameter' in answer.output
    assert "mutants.py:" in answer.output
    assert "NeverReachesStageTwo.training_step" in answer.output
    assert "1 failed" in answer.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["vea"], "did you mean 'vae'"),
        (["support.toy_models:TwoStage"], "TwoStages"),
        (["support.toy_models:ToyConfig"], "no subclass"),
        (["vae", "--set", "latnt=3"], "did you mean 'latent'"),
        (["vae", "--set", "latent=many"], "latent"),
        (["vae", "--dataset", "digit"], "did you mean 'digits'"),
    ],
)
def test_mistakes_of_the_command_line_are_the_users(words, message):
    error = told(*words).exception
    assert isinstance(error, UserError)
    assert message in str(error)


class Raises(TwoStages):
    def latent(self, n):
        raise RuntimeError("planted")


def test_an_error_of_the_model_is_a_verdict_and_names_its_line(monkeypatch):
    chosen = [c for c in outcome_module.checks_for(Raises) if c.name == "samples"]
    monkeypatch.setattr(outcome_module, "checks_for", lambda model_class: chosen)
    [found] = outcomes(Raises, SPEC, {})
    assert found.verdict is Verdict.error
    assert found.message == "RuntimeError: planted"
    assert found.where.endswith(", latent")
    assert not found.is_sound


def test_parameters_mark_expected_failures_as_strict():
    reasons = {"training_step": "one stage is enough"}
    parameters = pytest_parameters(NeverReachesStageTwo, SPEC, reasons)
    marked = {p.id: p.marks for p in parameters if p.marks}
    assert list(marked) == ["training_step"]
    [mark] = marked["training_step"]
    assert (mark.name, mark.kwargs) == ("xfail", {"reason": "one stage is enough", "strict": True})
    [hold] = (p.values[0] for p in parameters if p.id == "training_step")
    with pytest.raises(AssertionError, match="prior"):
        hold()


def test_an_expected_failure_of_no_check_is_an_error():
    with pytest.raises(ValueError, match="did you mean 'training_step'"):
        pytest_parameters(TwoStages, SPEC, {"trainingstep": "misspelt"})
