"""What others wrote reaches the terminal as visible text, whichever command prints it."""

import ast
import io
import re
import unicodedata
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console
from support.rows import failed
from support.stored import TRIAL
from typer.testing import CliRunner

import harness.cli
from harness.checks.outcome import Outcome as Checked
from harness.checks.outcome import Verdict as Held
from harness.cli import app, progress_display
from harness.doctor.finding import problem
from harness.errors import UserError, for_terminal, visible
from harness.evaluate.audit import AuditLine
from harness.hooks import MetricInfo, ModelInfo
from harness.machine.heartbeat import Progress
from harness.planning.differences import Difference
from harness.plugins.registry import BrokenPlugin, Conflict, Registered
from harness.publishing.agreement import Comparison
from harness.publishing.formats import WrittenReport
from harness.publishing.verification import Verification
from harness.reproduction import Reproduction
from harness.row import Measurement
from harness.speed.sweep import Request, Sweep

TITLE, COLOUR, CLEAR = "\x1b]0;owned\x07", "\x1b[31m", "\x9b2J\x7f"
LINK = "\x1b]8;;mailto:a@b.org\x1b\\here\x1b]8;;\x1b\\"
DIRECTION = "\u202e\u2066\u200f\u200b\u2028\ufeff\ud800"
MARKUP = "[red]a[/red] [link=mailto:a@b.org]b[/link] [/] :smile: \\"
HOSTILE = TITLE + COLOUR + CLEAR + LINK + DIRECTION + MARKUP
RICH = r"\x1b\[[?0-9;]*[A-Za-z]|\r"
"""What Rich itself writes to a terminal: colours, and movements of the cursor."""
SHOWN = re.escape(r"\x1b]0;owned\x07\x1b[31m\x9b2J\x7f\x1b]8;;mailto:a@b.org")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (TITLE, r"\x1b]0;owned\x07"),
        ("\x00\t\r\x0b\x0c\x1c", r"\x00\t\r\x0b\x0c\x1c"),
        ("\x7f\x80\x85\x9b\x9f", r"\x7f\x80\x85\x9b\x9f"),
        ("a\u202eb\u2067c\u2069", r"a\u202eb\u2067c\u2069"),
        ("\u200b\u200d\u2060\ufeff\u00ad", r"\u200b\u200d\u2060\ufeff\xad"),
        ("\u2028\u2029", r"\u2028\u2029"),
        ("\U000e0041", r"\U000e0041"),
        (Path("a\udcff").name, r"a\udcff"),
        ("two\nlines\r\n", "two\nlines\n"),
        ("plain, γ-VAE ≤ 3 ± 日本 é", "plain, γ-VAE ≤ 3 ± 日本 é"),
    ],
)
def test_what_cannot_be_seen_is_written_out(text, shown):
    assert visible(text) == shown


def test_no_character_escapes():
    everything = "".join(map(chr, range(0x3000)))
    assert {c for c in visible(everything) if not c.isprintable()} == {"\n"}
    for character in visible(everything):
        assert unicodedata.category(character) not in ("Cc", "Cf", "Zl", "Zp") or character == "\n"


def rows():
    return [failed("vae", "error", HOSTILE, label=f"{HOSTILE} {i}") for i in range(2)]


class Planned(SimpleNamespace):
    """A plan of one trial with a hostile label, which has ended."""

    def __init__(self):
        trial = TRIAL.model_copy(update={"label": HOSTILE, "unsupported": HOSTILE})
        store = SimpleNamespace(row=lambda _: rows()[0])
        super().__init__(
            trials=(trial,), store=store, benchmark=SimpleNamespace(name=HOSTILE, summary="")
        )

    def results(self):
        return SimpleNamespace(rows=rows(), benchmark=HOSTILE)

    def unplanned(self):
        return [HOSTILE]


def written(*arguments):
    return WrittenReport({"csv": Path(HOSTILE)}, {"latex": HOSTILE})


@pytest.fixture
def planned(monkeypatch):
    monkeypatch.setattr("harness.api.plan", lambda *a, **k: Planned())


def run(patch):
    patch.setattr("harness.api.begin", lambda *a, **k: [])
    patch.setattr("harness.api.carry_out", lambda *a, **k: None)
    patch.setattr("harness.api.publish", written)
    return ["run", "x"]


def report(patch):
    patch.setattr("harness.publishing.report_folder.write", written)
    return ["report", "x"]


def report_of_markdown(patch):
    def write(results, folder, *others):
        folder.mkdir(parents=True)
        (folder / "leaderboard.md").write_text(visible(HOSTILE) + HOSTILE.replace("\ud800", ""))
        return WrittenReport({"markdown": folder / "leaderboard.md"})

    patch.setattr("harness.publishing.report_folder.write", write)
    return ["report", "x", "--out", "out"]


def export(patch):
    patch.setattr("harness.publishing.report_folder.ordered", lambda results: results)
    patch.setattr("harness.publishing.export.export", lambda rows, out: [out / HOSTILE])
    return ["export", "x"]


def compare(patch):
    patch.setattr("harness.publishing.formats.comparison", lambda registry: lambda *a: [HOSTILE])
    return ["compare", "a", "b", "x"]


def evaluate(patch):
    found = {HOSTILE: Measurement(value=1.0, protocol=HOSTILE, reason=HOSTILE)}
    evaluated = SimpleNamespace(
        n=3, samples=HOSTILE, reference=HOSTILE, features=HOSTILE, metrics=found, warnings=[HOSTILE]
    )
    patch.setattr("harness.evaluate.samples.evaluate_images", lambda *a, **k: evaluated)
    line = AuditLine(HOSTILE, 1.0, HOSTILE, 1.0, 0.0, HOSTILE)
    patch.setattr("harness.evaluate.audit.audit", lambda evaluated: [line])
    return ["evaluate", "x", "--reference", "y", "--audit"]


def check(patch):
    outcomes = [Checked(HOSTILE, HOSTILE, verdict, HOSTILE, HOSTILE, 0.1) for verdict in Held]
    patch.setattr("harness.checks.outcome.outcomes", lambda *a: outcomes)
    return ["check", "vae"]


def listing(patch):
    entry = Registered(ModelInfo(HOSTILE, HOSTILE, HOSTILE, HOSTILE), HOSTILE, "1")
    metric = Registered(MetricInfo(HOSTILE, HOSTILE, HOSTILE), HOSTILE, "1")

    def load(info):
        raise RuntimeError(HOSTILE)

    found = SimpleNamespace(
        **{"models": {"a": entry}, "metrics": {"b": metric}, "datasets": {}, "features": {}},
        reports={},
        load=load,
        broken=(BrokenPlugin(HOSTILE, HOSTILE, HOSTILE),),
        conflicts=(Conflict(HOSTILE, HOSTILE, (entry, entry)),),
    )
    patch.setattr("harness.plugins.registry.registry", lambda: found)
    return ["list"]


def cards(patch):
    return [*listing(patch), "models", "-v"]


def doctor(patch):
    found = [problem(HOSTILE, HOSTILE, HOSTILE), problem("a", HOSTILE[:20], HOSTILE[:20])]
    patch.setattr("harness.doctor.examine", lambda results: found)
    return ["doctor"]


def verify(patch):
    found = Verification(1, 1, (HOSTILE,), (HOSTILE,))
    patch.setattr("harness.publishing.verification.verify", lambda report: found)
    return ["verify", HOSTILE.replace("\ud800", "")]


def reproduce(patch):
    checks = tuple(Comparison(HOSTILE, agrees, HOSTILE, True) for agrees in (True, False))
    changed = Reproduction(rows()[0], None, (HOSTILE,), (Difference(HOSTILE, HOSTILE, HOSTILE),))
    differs = Reproduction(rows()[0], rows()[0], (), (), checks, HOSTILE)
    for name in ("choose", "prepare"):
        patch.setattr(f"harness.reproduction.{name}", lambda *a: [])
    patch.setattr("harness.reproduction.run_again", lambda *a: [changed, differs])
    patch.setattr("harness.publishing.reading.read_results", lambda report: None)
    return ["reproduce", "x"]


def speed(patch):
    swept = Sweep(Request("vae", HOSTILE), None, (), HOSTILE)
    patch.setattr("harness.speed.sweep.measure", lambda request: swept)
    return ["speed", "vae"]


def sync(patch):
    Path("results").mkdir()
    tracker = SimpleNamespace(address=HOSTILE)
    patch.setattr("harness.tracking.open_tracker", lambda *a: tracker)
    patch.setattr("harness.tracking.sync", lambda *a: (["a"], []))
    patch.setattr(
        "harness.tracking.sync_reports", lambda *a: SimpleNamespace(sent=[HOSTILE], unsent=[])
    )
    return ["sync"]


def new(patch):
    patch.setattr("harness.cli.new_command.write_plugin", lambda *a: [Path(HOSTILE)])
    return ["new", "a", HOSTILE.replace("\ud800", "")]


COMMANDS = {
    "run": run,
    "plan": lambda patch: ["plan", "x"],
    "status": lambda patch: ["status", "x"],
    "report": report,
    "report's Markdown": report_of_markdown,
    "export": export,
    "compare": compare,
    "evaluate": evaluate,
    "check": check,
    "list": listing,
    "list -v": cards,
    "doctor": doctor,
    "verify": verify,
    "reproduce": reproduce,
    "speed": speed,
    "sync": sync,
    "new": new,
}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("where", ["pipe", "terminal"])
def test_no_command_prints_what_others_wrote_raw(name, where, tmp_path, monkeypatch, planned):
    monkeypatch.chdir(tmp_path)
    words = COMMANDS[name](monkeypatch)
    forced = {"FORCE_COLOR": "1"} if where == "terminal" else {}
    answer = CliRunner(env={"COLUMNS": "4000"} | forced).invoke(app, words)
    assert answer.exception is None or isinstance(answer.exception, SystemExit), answer.exception
    printed = re.sub(RICH, "", answer.output) if forced else answer.output
    assert re.search(SHOWN, printed)
    assert not {c for c in printed if not c.isprintable()} - {"\n"}
    # As it was written: neither markup nor a link to click.
    assert "[red]a[/red] [link=mailto:a@b.org]b[/link] [/] :smile:" in printed


def test_every_command_is_held_to_that():
    held = {name.partition(" ")[0].removesuffix("'s") for name in COMMANDS}
    assert {command.name for command in app.registered_commands} == held


MODULES = sorted(Path(harness.cli.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.stem)
def test_only_the_module_of_the_terminal_prints(path):
    if path.stem == "terminal":
        return
    called = [
        node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)
    ]
    names = {node.id for node in called if isinstance(node, ast.Name)}
    written = {ast.unparse(node) for node in called if isinstance(node, ast.Attribute)}
    assert not names & {"print", "Console", "Text"}
    assert not written & {
        "typer.echo",
        "typer.secho",
        "click.echo",
        "sys.stdout.write",
        "Text.assemble",
    }


TRAINING = Progress("train", 0.5, {HOSTILE: 1.0}, 10.0)


def test_the_display_of_progress_shows_what_others_wrote(monkeypatch, capsys):
    trial = TRIAL.model_copy(update={"label": HOSTILE})
    screen = io.StringIO()
    monkeypatch.setattr(
        progress_display,
        "console",
        lambda: Console(file=screen, force_terminal=True, width=4000, markup=False),
    )
    with progress_display.open_display(1) as bars:
        bars.started(trial)
        bars.progressed(trial, TRAINING)
        bars._bars.refresh()
        bars.finished(trial, rows()[0])
    lines = progress_display.Lines(1)
    for event in (lines.started, lines.held):
        event(trial)
    lines.finished(trial, rows()[0])
    drawn = re.sub(RICH, "", screen.getvalue())
    printed = drawn + capsys.readouterr().out
    assert len(re.findall(SHOWN, printed)) > 6
    assert not {c for c in printed if not c.isprintable()} - {"\n"}
    assert "[red]a[/red] [link=" in drawn


def test_an_error_shows_what_others_wrote(monkeypatch, capsys):
    def fail():
        raise UserError(HOSTILE)

    monkeypatch.setattr("harness.cli.app", fail)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    assert harness.cli.run() == 2
    printed = capsys.readouterr().err
    assert re.search(SHOWN, printed) and printed == f"error: {for_terminal(HOSTILE)}\n"


def test_a_reason_of_megabytes_is_cut(monkeypatch):
    large = Planned()
    large.store.row = lambda _: failed("vae", "error", "x" * 3_000_000)
    monkeypatch.setattr("harness.api.plan", lambda *a, **k: large)
    assert len(CliRunner().invoke(app, ["status", "x"]).output) < 10_000
