from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from support.distributions import install, models_plugin

HEAVY = {"torch", "mlflow", "pandas"}
MAIN = "import sys; sys.argv[0] = 'harness'; from harness.cli import main; "


def harness(*arguments, site=None, code="main()"):
    """Run the command line in a process of its own, with ``site`` on its path."""
    path = {"PYTHONPATH": str(site)} if site else {}
    return subprocess.run(
        [sys.executable, "-c", MAIN + code, *arguments],
        capture_output=True,
        text=True,
        env=os.environ | path | {"COLUMNS": "100"},
    )


@pytest.fixture
def faulty_site(tmp_path):
    """A folder with a sound, a broken and two conflicting distributions."""
    modules = {
        "sound_plugin": models_plugin("gaussian"),
        "broken_plugin": "import no_such_module",
        "one_plugin": models_plugin("twin"),
        "two_plugin": models_plugin("twin"),
    }
    for module, source in modules.items():
        install(tmp_path, module.replace("_", "-"), {f"{module}.py": source}, {"x": module})
    return tmp_path


@pytest.mark.parametrize(
    "command",
    ["--help", *(f"list {kind}" for kind in "models datasets features metrics reports".split())],
)
def test_looking_around_imports_nothing_heavy(command):
    code = (
        f"import atexit;atexit.register(lambda: print('loaded:', *({HEAVY!r} & "
        "set(sys.modules)))); main()"
    )
    answer = harness(*command.split(), code=code)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.splitlines()[-1].strip() == "loaded:"


def test_lines_without_a_terminal_are_whole(faulty_site):
    answer = harness("list", "models", site=faulty_site)
    [line] = [line for line in answer.stdout.splitlines() if line.startswith("gaussian")]
    assert line.split(maxsplit=1)[1].strip() == "a test model"
    assert not set(answer.stdout) & set("│┃─━")


def test_faults_are_listed_below_and_the_rest_works(faulty_site):
    answer = harness("list", "models", site=faulty_site)
    assert answer.returncode == 0
    below = answer.stdout.partition("gaussian")[2]
    assert "plugin 'x' of broken-plugin is broken: ModuleNotFoundError" in below
    assert "2 models are called 'twin': one-plugin 1.0" in below and "two-plugin 1.0" in below


def test_json_shows_everything(faulty_site):
    output = json.loads(harness("list", "models", "--json", site=faulty_site).stdout)
    assert output.keys() == {"models", "broken", "conflicts"}
    [model] = [model for model in output["models"] if model["name"] == "gaussian"]
    assert (model["target"], model["distribution"]) == ("nowhere:Model", "sound-plugin")
    assert [plugin["distribution"] for plugin in output["broken"]] == ["broken-plugin"]
    assert [conflict["name"] for conflict in output["conflicts"]] == ["twin"]


def test_strict_ends_with_every_fault_and_exit_code_2(faulty_site):
    answer = harness("--strict", "list", site=faulty_site)
    assert answer.returncode == 2
    assert answer.stdout == ""
    assert answer.stderr.startswith("error: plugin 'x' of broken-plugin is broken")
    assert "called 'twin'" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert harness("--strict", "list").returncode == 0


@pytest.mark.parametrize(
    ("raised", "code", "error"),
    [
        ("UserError('no [bold]key[/] in it')", 2, "error: no [bold]key[/] in it\n"),
        ("KeyboardInterrupt", 130, ""),
    ],
)
def test_how_a_command_may_end(raised, code, error):
    program = (
        "from harness.cli import app; from harness.errors import "
        f"UserError\n@app.command('fail')\ndef fail() -> None:\n    raise {raised}\nmain()"
    )
    answer = subprocess.run(
        [sys.executable, "-c", MAIN + "\n" + program, "fail"], capture_output=True, text=True
    )
    assert (answer.returncode, answer.stderr) == (code, error)


def test_a_misspelt_command_is_met_with_the_nearest():
    answer = harness("lsit")
    assert answer.returncode == 2
    assert "'list'" in answer.stderr


def test_the_version_is_that_of_the_distribution():
    from importlib.metadata import version

    assert harness("--version").stdout == f"genharness {version('genharness')}\n"


SETTLED_PLUGIN = """
    from harness.hooks import ModelInfo, hookimpl
    @hookimpl
    def harness_models():
        target = "settled_model:Settled"
        return [
            ModelInfo("settled", "one line", target, type="fam"),
            ModelInfo("absent", "another", "no_such_module:Model"),
        ]
"""
SETTLED_MODEL = """
    'Settled: Doe and Poe, 2020, arXiv:2001.00001. It stays where it is.'
    from dataclasses import dataclass
    from harness.contract import GenerativeModel, LogLikelihood, setting
    class Settled(GenerativeModel):
        takes = frozenset({"label"})
        @dataclass(frozen=True)
        class Config:
            batch_size: int = setting(8, "images per step")
            depth: int = setting(3, "layers [of] it")
        def log_likelihood(self, x, y=None):
            return LogLikelihood(x, "lower_bound")
"""


@pytest.fixture
def settled_site(tmp_path):
    modules = {"settled_plugin.py": SETTLED_PLUGIN, "settled_model.py": SETTLED_MODEL}
    install(tmp_path, "settled-plugin", modules, {"x": "settled_plugin"})
    return tmp_path


def test_verbose_models_show_what_their_classes_know(settled_site):
    output = harness("list", "models", "-v", site=settled_site).stdout
    card = output.partition("settled one line")[2].partition("\n\n")[0]
    lines = [" ".join(line.split()) for line in card.splitlines() if line]
    assert lines == [
        "type fam",
        "paper Doe and Poe, 2020, arXiv:2001.00001",
        "capabilities HasLikelihood, takes label",
        "likelihood lower_bound",
        "class settled_model:Settled",
        "from settled-plugin 1.0",
        "setting type default help",
        "batch_size int 8 images per step",
        "depth int 3 layers [of] it",
    ]


def test_a_class_that_cannot_be_imported_says_so_and_the_rest_is_reported(settled_site):
    output = json.loads(harness("list", "models", "-v", "--json", site=settled_site).stdout)
    models = {model["name"]: model for model in output["models"]}
    assert "No module named 'no_such_module'" in models["absent"]["fault"]
    assert models["settled"]["likelihood"] == "lower_bound"
    assert models["settled"]["capabilities"] == ["HasLikelihood", "takes label"]
    assert models["settled"]["settings"][1] == {
        "name": "depth",
        "type": "int",
        "default": 3,
        "help": "layers [of] it",
    }
