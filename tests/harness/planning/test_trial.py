"""Trials: identity covers all that decides a row and nothing else; settings are checked."""

from dataclasses import dataclass

import pytest

from harness.contract import setting
from harness.errors import UserError
from harness.planning.benchmark import parse_benchmark
from harness.planning.resolution import resolve
from harness.plugins.hyper_parameters import resolve_config
from harness.plugins.loading import load_dataset
from harness.plugins.registry import registry

SOURCE = """
name = "mine"
datasets = ["digits"]
models = ["vae"]
budget = "30 steps"
[evaluation]
samples = 100
"""


def trials(source=SOURCE):
    return resolve(parse_benchmark(source, "mine.toml"), registry())


def identities(source=SOURCE):
    return {trial.label: trial.id for trial in trials(source)}


def test_a_plan_has_the_references_and_a_trial_for_each_model_and_seed():
    planned = trials(SOURCE.replace('["vae"]', '["vae", "dcgan"]\nseeds = [3, 4]'))
    assert [(t.label, t.seed) for t in planned] == [
        ("real", 0),
        ("vae", 3),
        ("vae", 4),
        ("dcgan", 3),
        ("dcgan", 4),
        ("null", 0),
    ]
    assert len({t.id for t in planned}) == 6


def test_planning_twice_gives_the_same_identities():
    assert identities() == identities()


@pytest.mark.parametrize(
    "change",
    [
        ('"30 steps"', '"31 steps"'),
        ('["vae"]', '[{model = "vae", settings = {batch_size = 17}}]'),
        ('["vae"]', '["vae"]\nseeds = [1]'),
        ('["vae"]', '["vae"]\nprecision = "bf16"'),
        ('["vae"]', '["vae"]\naveraging = "1k images"'),
        ("samples = 100", "samples = 99"),
        ("samples = 100", 'samples = 100\nfeatures = "pixels"'),
        ('"digits"', '"known-density:markov"'),
    ],
)
def test_whatever_decides_the_row_is_part_of_the_identity(change):
    assert identities(SOURCE.replace(*change))["vae"] != identities()["vae"]


@pytest.mark.parametrize(
    "change",
    [
        ('["vae"]', '["dcgan", "vae"]'),
        ('["vae"]', '["vae"]\ncheckpoint_seconds = 3.0\npatience_seconds = 9.0'),
        ('["vae"]', '["vae"]\nsummary = "other words"'),
        ('["vae"]', '["vae"]\nreferences = false'),
        ('["vae"]', '[{model = "vae", settings = {}}]'),
        ('"30 steps"', '"0.03k steps"'),
    ],
)
def test_nothing_else_is(change):
    assert identities(SOURCE.replace(*change))["vae"] == identities()["vae"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('["vae"]', '["vea"]'), "no model is called 'vea'.*did you mean 'vae'"),
        (('["vae"]', '["real"]'), "'real' is a reference row"),
        (('"digits"', '"digit"'), "no data set is called 'digit'.*'digits'"),
        (('"digits"', '"npz"'), "'npz' needs an argument"),
        (('"digits"', '"digits:7"'), "takes no argument"),
        (("samples = 100", "samples = 5000"), "5000 is more than the .* test images"),
        (("samples = 100", 'metrics = ["fdi"]'), "no metric is called 'fdi'.*'fid'"),
        (("samples = 100", 'features = "pixel"'), "no feature extractor is called 'pixel'"),
        (("samples = 100", "likelihood_images = 5000"), "likelihood_images"),
        (
            ('["vae"]', '[{model = "vae", settings = {batch_sise = 3}}]'),
            r"models.0.settings \(vae\).batch_sise: no such setting.*'batch_size'",
        ),
        (
            ('["vae"]', '[{model = "vae", settings = {batch_size = "many"}}]'),
            r"models.0.settings \(vae\).batch_size: .*whole number",
        ),
        (
            ('["vae"]', '[{model = "vae", settings = {batch_size = 0}}]'),
            "batch_size: 0: write a whole number",
        ),
    ],
)
def test_impossible_plans_say_why(change, message):
    with pytest.raises(UserError, match=message):
        trials(SOURCE.replace(*change))


def test_settings_keep_their_types():
    @dataclass(frozen=True)
    class Config:
        batch_size: int = setting(8, "images")
        rate: float = setting(0.1, "rate")

    config = resolve_config(Config, {"rate": 1}, "here")
    assert (config.batch_size, config.rate, type(config.rate)) == (8, 1.0, float)


def test_the_test_split_is_disjoint_from_what_a_model_sees():
    data = load_dataset(registry(), "digits")
    train = {image.tobytes() for image in data.train.x}
    assert not train & {image.tobytes() for image in data.test.x}


def test_an_entry_is_resolved_once_however_many_seeds_it_has(monkeypatch):
    described = []
    monkeypatch.setattr(
        "harness.planning.resolution.identify_model", lambda plugin: described.append(plugin) or {}
    )
    planned = trials(SOURCE.replace('["vae"]', f'["vae", "dcgan"]\nseeds = {list(range(500))}'))
    assert len({trial.id for trial in planned}) == len(planned) == 1002
    assert len(described) == 2
