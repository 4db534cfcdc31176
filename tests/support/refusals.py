"""What every refusal has in common: one message with place and remedy, exit code 2, no traces."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.cli import run


def nothing(folder: Path) -> None:
    """Need no files."""


@dataclass(frozen=True)
class Case:
    """One thing that somebody gets wrong.

    Attributes:
        name: of the case.
        command: what is typed after "harness", run in an empty folder.
        says: words of the message that tell the place and the mistake.
        remedy: words of the message that tell what would be right.
        make: puts files into the folder first.
    """

    name: str
    command: tuple[str, ...]
    says: tuple[str, ...]
    remedy: str
    make: Callable[[Path], object] = field(default=nothing)


def text_file(path: str, content: str | bytes) -> Callable[[Path], object]:
    """Return what writes one file."""
    raw = content.encode() if isinstance(content, str) else content

    def make(folder: Path) -> None:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(raw)

    return make


def cases(*table: Case) -> pytest.MarkDecorator:
    """Return a parametrization over a table, whose names are distinct."""
    names = [case.name for case in table]
    assert len(set(names)) == len(names), "two cases have one name"
    return pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in table])


def assert_refused(
    case: Case, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Run the command line in ``folder`` and look at all that it leaves behind."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["harness", *case.command])
    monkeypatch.setattr("signal.signal", lambda *_: None)  # run() takes over SIGTERM
    monkeypatch.setenv("COLUMNS", "1000")
    for name in ("GENHARNESS_PLUGINS", "GENHARNESS_STRICT"):
        monkeypatch.setenv(name, "")  # and take back what the command line sets
    case.make(folder)
    before = contents(folder)
    code = run()
    printed = capfd.readouterr()
    assert_is_refusal(code, printed.out, printed.err)
    message = " ".join(printed.err.split())
    for words in (*case.says, case.remedy):
        assert words in message, message
    assert contents(folder) == before, "something was written"


def assert_is_refusal(code: object, out: str, err: str) -> None:
    """Hold exit code and streams to what all refusals share."""
    assert code == 2, err
    assert out == ""
    assert "Traceback" not in err
    starts = [line for line in err.splitlines() if line.startswith("error:") or "─ Error ─" in line]
    assert len(starts) == 1, err
    assert len(err) < 4_000, "nobody reads so much"
    unprintable = [c for c in err if not c.isprintable() and c != "\n"]
    assert not unprintable, f"control characters reach the terminal: {unprintable}"


def contents(folder: Path) -> dict[str, str]:
    """Return what lies in a folder: a hash of each file, the target of each link."""
    found = {}
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        elif path.is_file() and path.stat().st_size > 2**24:
            found[name] = f"{path.stat().st_size} bytes of {path.stat().st_mtime_ns}"
        elif path.is_file():
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        else:
            found[name] = "folder" if path.is_dir() else "other"
    return found
