"""harness check, and the same checks as parameters of an author's tests."""

import json

import pytest
import torch
from support.mutants import NeverReachesStageTwo
from support.toy_densities import Autoregression
from support.toy_models import TwoStages
from typer.testing import CliRunner

from harness.checks import coverage
from harness.checks import outcome as outcome_module
from harness.checks.outcome import Verdict, outcomes
from harness.checks.parameters import pytest_parameters
from harness.cli import app
from harness.contract import DataSpec
from harness.errors import UserError

SPEC = DataSpec.images((1, 4, 4), levels=5, classes=3)


def text(*words):
    return CliRunner().invoke(app, ["check", *words])


def test_a_sound_model_ends_with_zero():
    answer = text("support.toy_models:TwoStages", "--json")
    assert answer.exit_code == 0
    found = json.loads(answer.output)
    assert found["passed"]
    assert (found["spec"]["x"]["kind"], found["spec"]["x"]["levels"]) == ("image", 17)
    assert {check["verdict"] for check in found["checks"]} <= {"passed", "not applicable"}
    assert all(check["reason"] for check in found["checks"])


def test_a_broken_model_ends_with_one_and_shows_what_and_where():
    answer = text("support.mutants:NeverReachesStageTwo")
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
        (["support.toy_models:ToyConfig"], "not a subclass"),
        (["vae", "--set", "latnt=3"], "did you mean 'latent'"),
        (["vae", "--set", "latent=many"], "latent"),
        (["vae", "--dataset", "digit"], "did you mean 'digits'"),
    ],
)
def test_mistakes_of_the_command_line_are_the_users(words, message):
    error = text(*words).exception
    assert isinstance(error, UserError)
    assert message in str(error)


class Raises(TwoStages):
    def sample_prior(self, n):
        raise RuntimeError("planted")


class Asserts(TwoStages):
    def sample(self, n, y=None):
        raise AssertionError("planted")


class Endless(TwoStages):
    def sample(self, n, y=None):
        while True:
            self.network(torch.zeros(n, 4))


class ColourAlone(TwoStages):
    @classmethod
    def supports(cls, spec):
        return None if spec.shape == (3, 32, 32) else "colour images of 32x32 alone"


def test_an_error_of_the_model_is_a_verdict_and_names_its_line(monkeypatch):
    chosen = [c for c in outcome_module.checks_for(Raises) if c.name == "samples"]
    monkeypatch.setattr(outcome_module, "checks_for", lambda model_class: chosen)
    [found] = outcomes(Raises, SPEC, {})
    assert found.verdict is Verdict.error
    assert found.message == "RuntimeError: planted"
    assert found.where.endswith(", sample_prior")
    assert not found.is_sound


def test_an_assertion_of_the_model_is_its_error_and_no_verdict_of_a_check(monkeypatch):
    chosen = [c for c in outcome_module.checks_for(Asserts) if c.name == "samples"]
    monkeypatch.setattr(outcome_module, "checks_for", lambda model_class: chosen)
    [found] = outcomes(Asserts, SPEC, {})
    assert (found.verdict, found.message) == (Verdict.error, "AssertionError: planted")
    assert found.where.endswith(", sample")


def test_a_model_that_takes_for_ever_is_left_unfinished():
    found = {each.name: each for each in outcomes(Endless, SPEC, {}, seconds=0)}
    assert found["config"].verdict is Verdict.passed
    assert found["samples"].verdict is Verdict.unfinished
    assert "unknown" in found["samples"].message
    assert all(each.is_sound for each in found.values())


def test_what_a_check_left_out_stands_beside_its_pass(monkeypatch):
    monkeypatch.setattr(coverage, "PATIENCE", 0.0)
    chosen = [c for c in outcome_module.checks_for(Autoregression) if c.name == "coverage"]
    monkeypatch.setattr(outcome_module, "checks_for", lambda model_class: chosen)
    [found] = outcomes(Autoregression, SPEC, {})
    assert found.verdict is Verdict.passed
    assert found.message == (
        "blind spots of kernels wider than 3 were not looked for: it takes long"
    )


def test_a_model_that_refuses_the_images_ends_with_two_and_a_hint():
    answer = text(f"{__name__}:ColourAlone")
    assert answer.exit_code == 2
    assert "little was checked (colour images of 32x32 alone)" in answer.output
    assert "--dataset mnist" in answer.output
    found = json.loads(text(f"{__name__}:ColourAlone", "--json").output)
    assert not found["passed"] and "--dataset" in found["hint"]


def test_a_model_that_fails_at_the_size_of_the_checks_is_checked_at_others(monkeypatch):
    chosen = [c for c in outcome_module.checks_for(Raises) if c.name == "samples"]
    monkeypatch.setattr(outcome_module, "checks_for", lambda model_class: chosen)
    answer = text(f"{__name__}:Raises")
    assert answer.exit_code == 1
    assert "the checks chose images 1x8x8 with 17 levels" in answer.output


def test_data_sets_metrics_and_reports_are_checked_by_name():
    for name in ("known-density:markov", "fid", "csv"):
        answer = text(name)
        assert answer.exit_code == 0, answer.output
        assert "passed" in answer.output
    answer = text("fid", "--json")
    assert json.loads(answer.output)["metric"] == "fid"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fid", "--set", "a=1"], "are for models, and 'fid' is a metric"),
        (["fid", "--kind", "report"], "no report is called 'fid'"),
        (["image-folder"], "needs an argument: write 'image-folder:PATH'"),
    ],
)
def test_mistakes_in_a_kind_are_the_users(words, message):
    error = text(*words).exception
    assert isinstance(error, UserError)
    assert message in str(error)


def test_parameters_mark_expected_failures_as_strict():
    reasons = {"training_step": "one stage is enough"}
    parameters = pytest_parameters(NeverReachesStageTwo, SPEC, reasons)
    marked = {p.id: p.marks for p in parameters if p.marks}
    assert list(marked) == ["training_step"]
    [mark] = marked["training_step"]
    assert (mark.name, mark.kwargs) == ("xfail", {"reason": "one stage is enough", "strict": True})
    [run_check] = (p.values[0] for p in parameters if p.id == "training_step")
    with pytest.raises(AssertionError, match="prior"):
        run_check()


def test_an_expected_failure_of_no_check_is_an_error():
    with pytest.raises(ValueError, match="did you mean 'training_step'"):
        pytest_parameters(TwoStages, SPEC, {"trainingstep": "misspelt"})
