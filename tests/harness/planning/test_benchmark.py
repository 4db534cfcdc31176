"""Benchmark files: what is right is read, what is wrong is named with its place and a remedy."""

import pytest

from harness.errors import UserError
from harness.planning.benchmark import (
    Entry,
    parse_benchmark,
    parse_settings,
    read_benchmark,
    shipped_benchmarks,
    with_models,
    with_settings,
)

GOOD = """
name = "mine"
datasets = ["digits"]
models = ["vae", {model = "ddpm", label = "ddim", settings = {sampler = "ddim"}}]
budget = "90s"
seeds = [0, 1]
[evaluation]
curve = [0.5]
"""


def test_a_file_is_read_with_defaults():
    benchmark = parse_benchmark(GOOD, "mine.toml")
    assert str(benchmark.budget) == "90 device-seconds"
    assert benchmark.models == (
        Entry(model="vae"),
        Entry(model="ddpm", label="ddim", settings={"sampler": "ddim"}),
    )
    assert [entry.title for entry in benchmark.models] == ["vae", "ddim"]
    assert benchmark.evaluation.curve == (0.5,)
    assert benchmark.precision == "fp32"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("budget =", "bugdet ="), r"bugdet: unknown key.*did you mean 'budget'"),
        (('budget = "90s"', ""), r"budget: this key is required"),
        (('"90s"', '"90"'), r"budget: budget '90' has no unit"),
        (('"90s"', '"-90s"'), r"budget: "),
        (('"90s"', "90"), r"budget: a budget is text with a unit"),
        (("curve = [0.5]", "curve = [1.5]"), r"evaluation.curve.0: "),
        (("curve", "curves"), r"evaluation.curves: unknown key.*'curve'"),
        (("settings", "setings"), r"models.1.setings: unknown key.*'settings'"),
        (("[0, 1]", "[]"), r"seeds: "),
        (("[0, 1]", "[-1]"), r"seeds.0: "),
        (("[0, 1]", "[1, 1]"), r"seeds: 1 appears twice"),
        (('label = "ddim"', 'label = "vae"'), r"models: label 'vae' appears twice"),
        (('["digits"]', '["digits", "digits"]'), r"datasets: 'digits' appears twice"),
        (('["digits"]', "[]"), r"datasets: "),
        (('"mine"', '"../up"'), r"name: "),
        (('"mine"', '""'), r"name: "),
        (("[evaluation]", "[evaluation"), r"not TOML: .*line"),
        (("seeds", 'precision = "fp8"\nseeds'), r"precision: .*'fp32', 'tf32' or 'bf16'"),
        (("seeds", 'averaging = "5 s"\nseeds'), r"averaging: '5 device-seconds' is not a number"),
        (("seeds", "patience_seconds = 0\nseeds"), r"patience_seconds: "),
    ],
)
def test_mistakes_are_named_with_their_place(change, message):
    assert change[0] in GOOD
    with pytest.raises(UserError, match=f"(?s)^mine.toml[: ].*{message}"):
        parse_benchmark(GOOD.replace(*change, 1), "mine.toml")


def test_every_mistake_is_reported_at_once():
    with pytest.raises(UserError) as expected:
        parse_benchmark(GOOD.replace("90s", "90").replace("curve", "curves"), "mine.toml")
    assert len(str(expected.value).splitlines()) == 2


def test_shipped_benchmarks_are_sound_and_called_as_their_files():
    assert {"digits", "digits-smoke"} <= set(shipped_benchmarks())
    for name in shipped_benchmarks():
        assert read_benchmark(name)[0].name == name


def test_unknown_names_and_files(tmp_path):
    with pytest.raises(UserError, match=r"no benchmark 'digit' \(did you mean 'digits'\?\)"):
        read_benchmark("digit")
    with pytest.raises(UserError, match="no benchmark file .*nowhere.toml"):
        read_benchmark(str(tmp_path / "nowhere.toml"))
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="is not UTF-8"):
        read_benchmark(str(tmp_path / "binary.toml"))
    with pytest.raises(UserError, match="Is a directory"):
        read_benchmark(str(tmp_path))


TWICE = """
name = "twice"
datasets = ["digits"]
models = [
    "vae",
    {model = "ddpm", label = "ddim", settings = {sampler = "ddim", channels = 8}},
    {model = "ddpm", label = "wide"},
]
budget = "90s"
"""


@pytest.mark.parametrize(
    ("text", "model", "key", "value"),
    [
        ("vae.latent=8", "vae", "latent", 8),
        ("vae.learning_rate=1e-3", "vae", "learning_rate", 1e-3),
        ("ddpm.sampler=ddim", "ddpm", "sampler", "ddim"),
        ('ddpm.sampler="8"', "ddpm", "sampler", "8"),
        ("x.widths=[1, 2]", "x", "widths", [1, 2]),
        ("x.deep=true", "x", "deep", True),
        ("x.name=a=b", "x", "name", "a=b"),
        ("x.name=", "x", "name", ""),
        ("x.name=1\nother = 2", "x", "name", "1\nother = 2"),
        ("DDPM v1.5.channels = 32", "DDPM v1.5", "channels", 32),
    ],
)
def test_a_setting_is_read_as_toml_or_else_as_text(text, model, key, value):
    assert parse_settings([text]) == {model: {key: value}}


def test_settings_of_one_model_gather_and_the_last_word_counts():
    texts = ["vae.latent=8", "ddpm.channels=4", "vae.width=2", "vae.latent=9"]
    assert parse_settings(texts) == {"vae": {"latent": 9, "width": 2}, "ddpm": {"channels": 4}}


@pytest.mark.parametrize("text", ["vae", "vae.latent", "latent=8", ".latent=8", "vae.=8", "=8", ""])
def test_what_is_no_setting_is_answered_with_the_form(text):
    with pytest.raises(UserError, match=r"is not a setting; write MODEL.KEY=VALUE"):
        parse_settings([text])


def settings_of(benchmark):
    return {entry.title: entry.settings for entry in benchmark.models}


def test_a_label_is_one_entry_and_a_model_is_all_of_its_entries():
    twice = parse_benchmark(TWICE, "twice.toml")
    assert settings_of(with_settings(twice, {"wide": {"channels": 64}})) == {
        "vae": {},
        "ddim": {"sampler": "ddim", "channels": 8},
        "wide": {"channels": 64},
    }
    assert settings_of(with_settings(twice, {"ddpm": {"channels": 64}})) == {
        "vae": {},
        "ddim": {"sampler": "ddim", "channels": 64},
        "wide": {"channels": 64},
    }
    assert twice == parse_benchmark(TWICE, "twice.toml")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("dpdm", "did you mean 'ddpm'"),
        ("wode", "did you mean 'wide'"),
        ("xyz", "it has: vae, ddim"),
    ],
)
def test_a_model_that_the_benchmark_lacks_is_named(name, hint):
    with pytest.raises(UserError, match=rf"{name}.depth: .*'twice' has no model '{name}'.*{hint}"):
        with_settings(parse_benchmark(TWICE, "twice.toml"), {name: {"depth": 2}})


def test_a_model_is_added_once():
    twice = parse_benchmark(TWICE, "twice.toml")
    added = with_models(twice, ["mine", "vae", "mine"])
    assert added.models == (*twice.models, Entry(model="mine"))
