"""Nothing of the folder that a process is started in is imported, unless PYTHONPATH names it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.launching import start_task

from harness.checks.named import load
from harness.cli import check_command
from harness.launchers.processes import ForkServer, Spares, Spawner
from harness.machine import interpreters
from harness.plugins.kinds import Kind

TRAPS = ("random", "queue", "scipy", "torch", "typing", "colorsys")
TRAP = "open(__file__ + '.imported', 'w').close()\nraise ImportError('of the current folder')\n"


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A current folder with modules that have the names of others."""
    folder = tmp_path / "work"
    folder.mkdir()
    for name in TRAPS:
        (folder / f"{name}.py").write_text(TRAP)
    monkeypatch.chdir(folder)
    yield folder
    assert not list(folder.glob("*.imported"))


def ask(*command, **environment):
    """Run a command; return what it printed."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | environment
    answer = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


SCRIPT = "import sys\nfrom harness.cli import main\nif __name__ == '__main__': sys.exit(main())\n"


@pytest.mark.parametrize("started", ["as a module", "as a script", "with an empty entry"])
def test_the_command_imports_nothing_of_its_folder(work, tmp_path, started):
    """Nor do the processes that it starts."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "plugin_tool.py").write_text(
        "from harness.hooks import hookimpl\nimport colorsys, json, os, subprocess, sys\n"
        "@hookimpl\ndef harness_models():\n"
        "    code = 'import colorsys, os, sys; print(os.environ[\"PYTHONPATH\"])'\n"
        "    output = subprocess.check_output([sys.executable, '-c', code], text=True)\n"
        "    raise RuntimeError(json.dumps([sys.path[0], output.strip()]))\n"
    )
    (tools / "tool-1.dist-info").mkdir()
    (tools / "tool-1.dist-info/METADATA").write_text("Name: tool\nVersion: 1\n")
    (tools / "tool-1.dist-info/entry_points.txt").write_text("[harness]\ntool = plugin_tool\n")
    # The script lies among others of these names.
    script = work / "harness"
    script.write_text(SCRIPT)
    command = [str(script)] if started == "as a script" else ["-m", "harness"]
    given = {"with an empty entry": ":../tools"}.get(started, "../tools")
    listed = json.loads(ask(sys.executable, *command, "list", "--json", PYTHONPATH=given))
    [broken] = [plugin["reason"] for plugin in listed["broken"]]
    assert broken == f"RuntimeError: {json.dumps([str(tools), str(tools)])}"


STAND_IN = """
import json, os, sys
import harness.worker.__main__

def work():
    import colorsys, queue, random
    print(json.dumps([p for p in sys.path if not os.path.isabs(p) or p == os.getcwd()]))
    sys.exit(0)

harness.worker.__main__.main = work
"""


@pytest.mark.parametrize("kind", [ForkServer, Spares])
def test_a_worker_imports_nothing_of_the_folder_it_works_in(work, tmp_path, kind):
    (tmp_path / "stand_in.py").write_text(STAND_IN)
    starter = kind(libraries=("stand_in",))
    try:
        for task in ("one", "two"):  # the first has no spare, and takes no such argument
            start_task(starter, tmp_path, task, ["--none"]).wait(60)
    finally:
        starter.close()
    assert json.loads((tmp_path / "two.log").read_text()) == []


def test_a_worker_that_is_spawned_imports_nothing_of_its_folder(work, tmp_path):
    assert start_task(Spawner(), tmp_path, "one", ["--help"]).wait(60) == 0


def test_a_model_of_the_current_folder_is_checked_and_no_file_beside_it_is_imported(
    work, monkeypatch
):
    source = "import colorsys\nfrom support.faulty_plugin import Steady as Mine\n"
    (work / "mine_here.py").write_text(source)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    found = []
    monkeypatch.setattr(
        check_command,
        "_check_model",
        lambda registry, name, *rest: found.append(load(name, Kind.model, registry)),
    )
    check_command.check("mine_here:Mine")
    assert found[0].__name__ == "Steady"


def test_a_search_path_is_absolute_and_has_no_empty_entry(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    given = os.pathsep.join(["", "lib", ".", "/usr", ""])
    monkeypatch.setenv("PYTHONPATH", given)
    found = interpreters.inherited_environment()
    assert found["PYTHONPATH"].split(os.pathsep) == [str(tmp_path / "lib"), str(tmp_path), "/usr"]
    assert found["PYTHONSAFEPATH"] == "1"
    monkeypatch.delenv("PYTHONPATH")
    assert "PYTHONPATH" not in interpreters.inherited_environment()


@pytest.mark.parametrize(
    ("program", "options", "is_it"),
    [
        ("-m", ["-m", "harness"], True),
        ("-m", ["-X", "dev", "-mharness.worker", "folder"], True),
        ("-m", ["-m", "pytest"], False),
        ("/usr/bin/harness", ["/usr/bin/harness", "run"], True),
        ("/home/me/train.py", ["train.py", "harness"], False),
        ("", [], False),
    ],
)
def test_only_the_command_leaves_its_folder(monkeypatch, program, options, is_it):
    """A program that imports the harness keeps its path as it is."""
    monkeypatch.setattr(sys, "argv", [program])
    monkeypatch.setattr(sys, "orig_argv", ["python", *options])
    assert interpreters.is_command("harness") is is_it


def test_no_process_of_the_harness_is_started_without_a_safe_path():
    root = Path(interpreters.__file__).parents[1]
    sources = {path: path.read_text() for path in root.rglob("*.py")}
    started = {path.name for path, text in sources.items() if "sys.executable" in text}
    # The watcher's is isolated from everything, and looks for the harness alone.
    assert started == {"interpreters.py", "watch.py"}
    assert '[sys.executable, "-I", "-S",' in sources[root / "machine/watch.py"]
    assert interpreters.command("harness.worker", "x")[1:] == [
        *("-P", "--check-hash-based-pycs", "always"),
        *("-m", "harness.worker", "x"),
    ]
