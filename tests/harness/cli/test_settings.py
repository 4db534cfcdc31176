"""--set and --also: each command that is given the same ones means the same trials."""

import json

import pytest
from typer.testing import CliRunner

from harness import api
from harness.cli import app
from harness.errors import UserError

OPTIONS = ("--also", "realnvp", "--set", "vae.latent=8", "--set", "realnvp.clip=2")
CHANGES = {"also": ["realnvp"], "settings": {"vae": {"latent": 8}, "realnvp": {"clip": 2}}}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Results in which the changed VAE alone has a row."""
    folder = tmp_path_factory.mktemp("results")
    planned = api.plan("digits-smoke", folder, **CHANGES)
    [vae] = (trial for trial in planned.trials if trial.label == "vae")
    planned.store.begin(vae)
    planned.store.finish(vae.row("diverged", "as planted"))
    return folder


def text(command, results, *options):
    answer = CliRunner().invoke(app, [command, "digits-smoke", "--results", str(results), *options])
    assert answer.exit_code == 0, answer.output
    return answer.output


def test_a_setting_changes_its_trial_and_no_other():
    changed, plain = (
        {trial.label: trial for trial in api.plan("digits-smoke", **changes).trials}
        for changes in (CHANGES, {})
    )
    assert changed["vae"].config == plain["vae"].config | {"latent": 8}
    assert changed["vae"].id != plain["vae"].id
    assert changed["dcgan"].id == plain["dcgan"].id
    assert changed["realnvp"].config["clip"] == 2.0
    assert "realnvp" not in plain


def test_status_finds_the_changed_trial_with_the_same_options_alone(results):
    with_options = [line.split() for line in text("status", results, *OPTIONS).splitlines()]
    states = {words[1]: " ".join(words[4:]) for words in with_options}
    assert (states["vae"], states["realnvp"]) == ("diverged: as planted", "waiting")
    assert "diverged" not in text("status", results)


def test_plan_shows_the_added_model(results):
    assert "realnvp" in text("plan", results, *OPTIONS)


def test_the_report_carries_the_setting_and_says_what_was_changed(results):
    text("report", results, *OPTIONS, "--format", "html")
    page = next((results / "digits-smoke/report").glob("*.html")).read_text("utf-8")
    assert "# --set vae.latent=8" in page and "# --also realnvp" in page
    [row] = (results / "digits-smoke/trials").glob("*/row.json")
    assert json.loads(row.read_text())["config"]["latent"] == 8


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"vae": {"latnt": 8}}, r"\(vae\)\.latnt: no such setting \(did you mean 'latent'"),
        ({"vae": {"latent": "many"}}, r"\(vae\)\.latent: .many.: write a whole number"),
        ({"veo": {"latent": 8}}, r"no model 'veo' \(did you mean 'vae'"),
    ],
)
def test_names_and_types_are_checked(settings, message):
    with pytest.raises(UserError, match=message):
        api.plan("digits-smoke", settings=settings)
