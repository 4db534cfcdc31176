"""What reaches standard output: one answer for programs, and text in whatever it can show."""

import io
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.rows import digits_rows
from support.stored import TRIAL

import harness.cli as cli
from harness.cli import run
from harness.cli.progress_display import Lines
from harness.machine.printing import (
    print_in_any_encoding,
    print_in_utf8,
    print_json,
    reserved_stdout,
)

NOISE = """
import atexit, ctypes, os, subprocess, sys
print("noise of print")
sys.__stdout__.write("noise of the stream\\n")
os.write(1, b"noise of the descriptor\\n")
ctypes.CDLL(None).puts(b"noise of C"); ctypes.CDLL(None).fflush(None)
subprocess.run(["echo", "noise of a process"])
atexit.register(print, "noise at exit")
atexit.register(os.write, 1, b"noise at exit of the descriptor\\n")
from harness.hooks import hookimpl
@hookimpl
def harness_models():
    print("noise of a hook")
    return []
"""


@pytest.fixture(scope="module")
def noisy(tmp_path_factory):
    """A folder with a plugin that prints in every way there is."""
    folder = tmp_path_factory.mktemp("noisy")
    (folder / "noisy_plugin.py").write_text(NOISE)
    (folder / "noisy-1.dist-info").mkdir()
    (folder / "noisy-1.dist-info/METADATA").write_text("Name: noisy\nVersion: 1\n")
    (folder / "noisy-1.dist-info/entry_points.txt").write_text("[harness]\nnoisy = noisy_plugin\n")
    return folder


def harness(folder, arguments):
    """Run the command in a shell, so that streams can be closed."""
    command = f"'{sys.executable}' -c 'from harness.cli import main; main()' {arguments}"
    paths = os.pathsep.join([str(folder), *filter(None, sys.path)])
    return subprocess.run(
        command, shell=True, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": paths}
    )


@pytest.mark.parametrize("streams", ["", "2>&- <&-"], ids=["open", "closed"])
def test_json_is_alone_on_standard_output_whatever_plugins_print(noisy, streams):
    # The option --strict loads the plugins before the command has read its own options.
    done = harness(noisy, f"--strict list models --json {streams}")
    assert done.returncode == 0, done.stderr
    assert {model["name"] for model in json.loads(done.stdout)["models"]} >= {"vae"}
    message = {line for line in done.stderr.splitlines() if line.startswith("noise ")}
    assert len(message) == (0 if streams else 8), done.stderr


def test_what_is_printed_while_a_command_works_stays_out_of_its_json(tmp_path, monkeypatch, capfd):
    from harness.features.pixels import Pixels

    np.save(tmp_path / "a.npy", np.random.default_rng(0).integers(0, 256, (9, 4, 4), np.uint8))
    quiet = Pixels.__call__

    def noisy(self, images):
        print("noise")
        os.write(1, b"more of it\n")
        return quiet(self, images)

    monkeypatch.setattr(Pixels, "__call__", noisy)
    path = str(tmp_path / "a.npy")
    monkeypatch.setattr(sys, "stdout", open(1, "w", closefd=False))  # as without pytest
    with reserved_stdout():
        code = command(
            monkeypatch, "evaluate", path, "--reference", path, "--metrics", "fid,vendi", "--json"
        )
    printed = capfd.readouterr()
    assert (code, json.loads(printed.out)["n"]) == (0, 9)
    assert {"noise", "more of it"} <= set(printed.err.splitlines())


def command(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["harness", *arguments])
    monkeypatch.setattr("signal.signal", lambda *_: None)  # run() takes over SIGTERM
    return run()


def test_all_commands_print_json_in_the_one_place():
    for module in Path(cli.__file__).parent.glob("*.py"):
        assert "json.dumps" not in module.read_text(encoding="utf-8"), module
        if '"--json"' in module.read_text(encoding="utf-8") and module.stem != "__init__":
            assert "print_json(" in module.read_text(encoding="utf-8"), module


def test_json_holds_nothing_that_programs_do_not_read(capsys):
    print_json({1: math.nan, "é": (math.inf, Path("x")), "\udcff": [1.5, True, None]})
    printed = capsys.readouterr().out
    assert printed.isascii()
    assert json.loads(printed, parse_constant=pytest.fail) == {
        "1": "nan",
        "é": ["inf", "x"],
        "\udcff": [1.5, True, None],
    }


@pytest.fixture
def stream(monkeypatch):
    """Have standard output be in an encoding."""

    def make(encoding):
        stream = io.TextIOWrapper(io.BytesIO(), encoding)
        monkeypatch.setattr(sys, "stdout", stream)
        return stream

    return make


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_commands_print_on_any_standard_output_and_write_files_in_utf8(
    tmp_path, monkeypatch, stream, encoding
):
    rows = "".join(row.model_dump_json() + "\n" for row in digits_rows())
    (tmp_path / "rows.jsonl").write_text(rows, encoding="utf-8")
    output = stream(encoding)
    options = ("--out", str(tmp_path / "out"), "--format", "markdown")
    assert command(monkeypatch, "report", str(tmp_path / "rows.jsonl"), *options) == 0
    printed = output.buffer.getvalue().decode(encoding)
    [written] = (tmp_path / "out").glob("*.md")
    text = written.read_text(encoding="utf-8")
    assert "±" in text and "≤" in text
    for symbol, plain in (("≤", "<="), ("–", "-"), ("±", "+-")):
        if symbol.encode(encoding, "ignore") == b"":
            text = text.replace(symbol, plain)
    assert text in printed


def test_rich_draws_and_names_of_files_are_shown_in_plain_characters(stream):
    from rich import box
    from rich.console import Console
    from rich.table import Table

    output = stream("ascii")
    print_in_any_encoding()
    table = Table("a", box=box.ROUNDED)
    table.add_row("é ∞ ±1 ⠋ ━╸ \udcff")
    Console(force_terminal=True, width=60).print(table)
    output.flush()
    lines = output.buffer.getvalue().decode("ascii").splitlines()
    assert lines[0].strip("-+") == "" and lines[0][0] == "+"
    assert "\\xe9 inf +-1 # -- \\udcff" in lines[3] and lines[3][0] == "|"


def test_a_worker_logs_in_utf8_whatever_the_locale(stream):
    output = stream("ascii")
    print_in_utf8()
    print("é \udcff")
    output.flush()
    assert output.buffer.getvalue().decode("utf-8") == "é \\udcff\n"


def test_a_reader_that_has_had_enough_ends_a_command_silently(monkeypatch, capfd):
    ours, theirs = os.pipe()
    os.close(ours)
    with open(theirs, "w") as output:
        monkeypatch.setattr(sys, "stdout", output)
        assert command(monkeypatch, "list", "metrics") == 1
        Lines(1).started(TRIAL)  # of a run, which goes on
        monkeypatch.undo()
        os.dup2(os.open(os.devnull, os.O_WRONLY), theirs)
    assert capfd.readouterr() == ("", "")


def test_a_standard_output_that_is_full_is_an_error(monkeypatch, capfd):
    with open("/dev/full", "w") as output:
        monkeypatch.setattr(sys, "stdout", output)
        assert command(monkeypatch, "list", "reports") == 2
        monkeypatch.undo()
        os.dup2(os.open(os.devnull, os.O_WRONLY), output.fileno())
    assert "standard output cannot be written to: No space left" in capfd.readouterr().err
