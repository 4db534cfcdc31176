"""A sweep keeps what was measured, whatever ends it."""

import json

import pytest
import torch
from support.distributions import install
from support.toys import SPEC, Config, LabelPainter, Regressor
from typer.testing import CliRunner

from harness.cli import app
from harness.errors import UserError
from harness.measurement.sampling import Sampler
from harness.plugins.registry import registry
from harness.speed.frame import COLUMNS, sweeps_frame
from harness.speed.subject import untrained_sampler
from harness.speed.sweep import BATCH_SIZES, Cost, Request, Step, Sweep, measure, sweep

PLUGIN = """
    import os
    import signal
    from dataclasses import dataclass

    import torch

    from harness.contract import GenerativeModel, setting
    from harness.hooks import ModelInfo, hookimpl

    @hookimpl
    def harness_models():
        names = ("Greedy", "Mute")
        return [ModelInfo(name.lower(), "", f"sweep_plugin:{name}") for name in names]

    @dataclass(frozen=True)
    class Config:
        batch_size: int = setting(8, "")

    class Greedy(GenerativeModel):
        Config = Config

        def __init__(self, spec, config):
            super().__init__(spec, config)
            self.network = torch.nn.Linear(1, 1)

        def training_step(self, batch, progress):
            return {}

        def sample(self, n, y=None):
            if n > 4:
                os.kill(os.getpid(), signal.SIGKILL)
            return torch.zeros(n, *self.spec.shape, dtype=torch.uint8)

    class Mute(Greedy):
        @classmethod
        def supports(cls, spec):
            return "it paints in oil only"
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    install(tmp_path, "sweep-plugin", {"sweep_plugin.py": PLUGIN}, {"x": "sweep_plugin"})
    # A spawned process gets the path of its parent.
    monkeypatch.syspath_prepend(tmp_path)


def sampler(model):
    torch.manual_seed(0)
    y = torch.arange(SPEC.classes)
    return Sampler(model, seed=0, batch_size=1, precision="fp32", conditions=y)


def run(model, sizes=(1, 2, 4, 8), seconds=0.0, longest=60.0):
    return list(sweep(sampler(model), sizes, seconds, longest))


class Limited(Regressor):
    """Has memory for 4 images."""

    error: Exception = MemoryError()

    def sample(self, n, y=None):
        if n > 4:
            raise self.error
        return super().sample(n)


def test_every_batch_size_has_its_speed_after_what_they_have_in_common():
    cost, *steps = run(Regressor(SPEC, Config()))
    assert isinstance(cost, Cost) and all(isinstance(step, Step) for step in steps)
    assert [step.speed.batch_size for step in steps] == [1, 2, 4, 8]
    # Two layers of 4 x 16 weights; one call of the network.
    assert (cost.flops, cost.evaluations, cost.parameters) == (2 * 2 * 64, 1, 148)
    assert cost.cold_start > 0 and all(step.peak_memory > 2**20 for step in steps)


def test_the_first_call_of_all_is_the_cold_start():
    calls = []

    class Recording(Regressor):
        def sample(self, n, y=None):
            calls.append(n)
            return super().sample(n)

    list(sweep(sampler(Recording(SPEC, Config())), (3, 5), 0.0, 60.0))
    # Cold start; cost, of 4; then once untimed and once timed at each size.
    assert calls == [3, 4, 3, 3, 5, 5]


def test_a_conditional_model_gets_labels():
    steps = run(LabelPainter(SPEC, Config()))[1:]
    assert len(steps) == 4


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 EiB"),
    ],
)
def test_the_end_of_memory_ends_the_sweep(error):
    model = Limited(SPEC, Config())
    model.error = error
    *measured, ended = run(model)
    assert [step.speed.batch_size for step in measured[1:]] == [1, 2, 4]
    assert ended == "out of memory"


def test_another_error_is_not_taken_for_the_end_of_memory():
    model = Limited(SPEC, Config())
    model.error = RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    with pytest.raises(RuntimeError, match="mat1"):
        run(model)


def test_a_call_that_would_take_too_long_is_not_made():
    *measured, ended = run(Regressor(SPEC, Config()), longest=0.0)
    assert [step.speed.batch_size for step in measured[1:]] == [1]
    assert ended == "a batch of 2 would take more than 0 s"


def test_powers_of_two_to_1024():
    assert BATCH_SIZES == (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


def test_models_are_built_the_same_every_time():
    one, other = (
        untrained_sampler(registry(), "vae", "known-density:markov", torch.device("cpu"))
        for _ in range(2)
    )
    weights = zip(one.model.parameters(), other.model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in weights)


def test_a_killed_process_leaves_what_it_had_measured(plugin):
    found = measure(Request("greedy", "known-density:markov", (1, 2, 8), seconds=0.0, threads=1))
    assert [step.speed.batch_size for step in found.steps] == [1, 2]
    assert found.ended == "out of memory: the process was killed"
    assert found.cost.parameters == 2 and found.steps[0].speed.threads == 1
    frame = sweeps_frame([found])
    assert list(frame.columns) == list(COLUMNS)
    assert list(frame["ended"]) == ["", found.ended]
    assert list(frame["model"]) == ["greedy"] * 2 and list(frame["batch_size"]) == [1, 2]


def test_a_model_that_does_not_run_on_the_data_is_an_error_of_the_user(plugin):
    with pytest.raises(UserError, match="mute does not run on digits: it paints in oil only"):
        measure(Request("mute"))


def test_a_sweep_that_measured_nothing_has_a_line_that_says_why():
    [line] = sweeps_frame([Sweep(Request("vae"), ended="out of memory")]).to_dict("records")
    assert (line["model"], line["ended"]) == ("vae", "out of memory")


class Summing(Regressor):
    """Calls an operator without a formula."""

    def sample(self, n, y=None):
        torch.ones(3).cumsum(0)
        return super().sample(n)


def test_operators_without_a_flop_count_are_reported(monkeypatch):
    found = Sweep(Request("summing", "digits", (1,)))
    for message in run(Summing(SPEC, Config()), (1,)):
        found.take(message)
    [line] = sweeps_frame([found]).to_dict("records")
    assert (line["flops_per_image"], line["uncounted"]) == (256, '{"aten.cumsum": 1}')
    monkeypatch.setattr("harness.speed.sweep.measure", lambda request: found)
    output = CliRunner().invoke(app, ["speed", "vae"]).stdout
    assert "without a FLOP count: aten.cumsum\n" in output


def test_the_command_prints_one_record_a_batch_size(monkeypatch):
    def measured(request):
        assert request == Request("vae", "digits", (1, 4), 0.5, 60.0, "cpu", 1)
        found = Sweep(request)
        for message in run(Regressor(SPEC, Config()), request.batch_sizes):
            found.take(message)
        return found

    monkeypatch.setattr("harness.speed.sweep.measure", measured)
    command = ["speed", "vae", "--batch-sizes", "4, 1", "--seconds", "0.5", "--threads", "1"]
    records = json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)
    assert [record["batch_size"] for record in records] == [1, 4]
    assert all(set(record) == set(COLUMNS) for record in records)
    lines = CliRunner().invoke(app, command).stdout.splitlines()
    assert lines[0].startswith("vae on digits, cpu, untrained, ")
    assert "148 parameters, 1 network calls, 256 FLOPs per image" in lines[0]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["vea"], "did you mean 'vae'"),
        (["vae", "--batch-sizes", "1,0"], "write positive integers"),
        (["vae", "--batch-sizes", "many"], "write positive integers"),
        (["vae", "--device", "cuda:99"], "--device cuda:99: torch finds"),
    ],
)
def test_wrong_arguments_are_answered(command, message):
    error = CliRunner().invoke(app, ["speed", *command]).exception
    assert isinstance(error, UserError) and message in str(error)
