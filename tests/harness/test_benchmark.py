"""Benchmark files: what is right is read, what is wrong is named with its place and a remedy."""

import pytest

from harness.benchmark import Entry, parse_benchmark, read_benchmark, shipped_benchmarks
from harness.errors import UserError

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


def test_every_mistake_is_told_at_once():
    with pytest.raises(UserError) as told:
        parse_benchmark(GOOD.replace("90s", "90").replace("curve", "curves"), "mine.toml")
    assert len(str(told.value).splitlines()) == 2


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
    with pytest.raises(UserError, match="cannot be read as text"):
        read_benchmark(str(tmp_path / "binary.toml"))
    with pytest.raises(UserError, match="no benchmark file"):
        read_benchmark(str(tmp_path))
