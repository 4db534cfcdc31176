"""Every block of code in the documentation does what a reader would have it do.

Python runs, TOML is parsed as what it is, and commands are carried out with a benchmark of moments
in the place of whatever they name; only their trials are not trained, which other tests do.
"""

import ast
import shlex
import sys
import tomllib
import types
from pathlib import Path

import numpy as np
import pytest
from support.distributions import install, models_plugin
from support.pages import PAGES, ROOT, blocks
from typer.main import get_command
from typer.testing import CliRunner

import harness.plugins.registry
import harness.tracking
from harness.cli import app
from harness.planning.benchmark import parse_benchmark, read_benchmark
from harness.plugins.registry import registry
from harness.row import Measurement

# Commands that take moments here. Of the others, only the arguments are looked at.
EXECUTED = {"evaluate", "export", "list", "plan", "report", "run", "status", "verify"}
# Programs of others, which install, serve or test: not run here.
OTHERS = {".", ".ci/run", "git", "mlflow", "pip", "pre-commit", "pytest", "python3", "ray", "tox"}
COMMANDS = ("sh", "console")
INERT = ("text",)
# Libraries that readers of a page have installed; what imports them is run where they are.
OPTIONAL = ("diffusers", "zuko")
# Words that stand for something of the reader's.
STAND_INS = {
    "BENCHMARK": "digits",
    "FOLDER": "samples.npz",
    "REFERENCE": "digits",
    "SAMPLES": "samples.npz",
    "reports/published/digits": str(ROOT / "reports/published/digits"),
}
BRIEF = """
name = "{name}"
datasets = ["digits"]
models = ["vae", "ddpm"]
budget = "5 steps"
[evaluation]
samples = 50
"""


class Untrained:
    """A launcher that gives each trial a row, and trains nothing."""

    def __init__(self, devices, threads):
        pass

    def check(self, trials):
        pass

    def run(self, agenda):
        while agenda:
            assignment = agenda.take()
            row = assignment.trial.row("ok", metrics={"fid": Measurement(value=1.0)})
            agenda.finish(assignment, row)


def brief(name):
    """Return a benchmark of moments in the place of one that exists, or of the reader's file."""
    if not name.endswith(".toml"):
        read_benchmark(name)
    text = BRIEF.format(name=name.removesuffix(".toml"))
    return parse_benchmark(text, name), text


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with the plugins that the pages speak of."""
    site = tmp_path_factory.mktemp("site")
    model, hooks = (block.text for block in blocks("docs/plugins.md", "python"))
    prototypes = {"prototypes/__init__.py": hooks, "prototypes/model.py": model}
    install(site, "prototypes", prototypes, {"prototypes": "prototypes"})
    names = ("my-model", "diffusers-ddpm", "zuko-nsf")
    source = models_plugin(*names, target="harness_autoencoders.vae:VAE")
    install(site, "my-model", {"my_model.py": source}, {"my-model": "my_model"})
    return site


@pytest.fixture(autouse=True)
def sandbox(site, tmp_path, tmp_path_factory, monkeypatch):
    """An empty folder to work in, with the plugins installed and samples of somebody's model."""
    monkeypatch.syspath_prepend(site)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GENHARNESS_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.delenv("GENHARNESS_RESULTS", raising=False)
    monkeypatch.setattr("harness.api.read_benchmark", brief)
    monkeypatch.setattr("harness.launchers.local.LocalLauncher", Untrained)
    monkeypatch.setattr("harness.tracking.open_tracker", lambda mode, results: None)
    images = np.random.default_rng(0).integers(0, 17, (100, 1, 8, 8), np.uint8)
    np.savez("samples.npz", images=images)
    harness.plugins.registry._installed.cache_clear()
    yield
    harness.plugins.registry._installed.cache_clear()


def kind_of(block):
    """Return "python", "toml", "commands" or "text"; an indented block is told by its words."""
    if not block.language:
        return "commands" if first_words(block) & {"harness", *OTHERS} else "text"
    if block.language in COMMANDS:
        return "commands"
    assert block.language in ("python", "toml", *INERT), f"{block}: what is {block.language!r}?"
    return "text" if block.language in INERT else block.language


def first_words(block):
    return {line.split()[0] for line in block.text.splitlines() if line.strip()}


def of_kind(kind):
    found = [block for page in PAGES for block in blocks(page) if kind_of(block) == kind]
    return pytest.mark.parametrize("block", found, ids=str)


@of_kind("python")
def test_python_runs(block, monkeypatch):
    source = "".join(b.text for b in blocks(block.page, "python") if b.line <= block.line)
    for library in OPTIONAL:
        if f"import {library}" in source or f"from {library}" in source:
            pytest.importorskip(library)
    if "tracked_frame" in source:
        Path("report").mkdir()
        assert harness.tracking.Tracker(Path("results")).log_report("digits", Path("report"))
    # Dataclasses look their module up.
    module = types.ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", module)
    exec(compile(source, str(block), "exec"), vars(module))


@of_kind("toml")
def test_toml_is_what_it_looks_like(block):
    content = tomllib.loads(block.text)
    if "project" in content:
        points = content["project"]["entry-points"]
        assert points.keys() == {"harness"} and points["harness"]
        return
    benchmark = parse_benchmark(block.text, str(block))
    for entry in benchmark.models:
        registry().model(entry.model)
    for dataset in benchmark.datasets:
        registry().dataset(dataset)


@of_kind("commands")
def test_commands_are_understood(block):
    for line in block.text.splitlines():
        words = [STAND_INS.get(word, word) for word in shlex.split(line, comments=True)]
        while words:
            end = words.index("&&") if "&&" in words else len(words)
            carry_out(*words[:end])
            words = words[end + 1 :]


def carry_out(program, *arguments):
    if program in OTHERS:
        return
    assert program == "harness", f"what is {program!r}? say so in OTHERS if it is not to be run"
    name, *options = (word for word in arguments if word != "--strict")
    command = get_command(app).commands[name]
    if name not in EXECUTED or "--address" in options:  # there is no such cluster
        command.make_context(name, options)
        return
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, (
        f"harness {shlex.join(arguments)}: {result.output}{result.exception!r}"
    )


@of_kind("text")
def test_what_is_not_run_is_no_program(block):
    assert not first_words(block) & {"harness", "$", *OTHERS}
    with pytest.raises(SyntaxError):
        ast.parse(block.text)


def test_mistakes_are_found():
    for command in (
        "run nothing",
        "run digits --set vae.latant=1",
        "run digits --sett vae.latent=1",
    ):
        with pytest.raises(AssertionError, match="nothing|latant|sett"):
            carry_out("harness", *command.split())
    with pytest.raises(Exception, match="longst"):
        carry_out("harness", "speed", "ddpm", "--longst", "2")
    with pytest.raises(AssertionError, match="what is 'rm'"):
        carry_out("rm", "-r", "results")
