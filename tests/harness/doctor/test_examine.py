import json

import pytest
from typer.testing import CliRunner

import harness.doctor
from harness.cli import app
from harness.doctor import examine, machine, software, tracking
from harness.doctor.finding import Severity, ok, problem, warning
from harness.errors import UserError


def doctor(monkeypatch, findings, *options):
    monkeypatch.setattr(harness.doctor, "examine", lambda results: iter(findings))
    return CliRunner().invoke(app, ["doctor", *options])


def test_this_machine_can_run_digits(tmp_path, monkeypatch):
    # Importing MLflow takes seconds.
    monkeypatch.setattr(tracking, "tracking_findings", lambda results: [])
    findings = list(examine(tmp_path))
    assert Severity.problem not in {finding.verdict for finding in findings}
    assert findings[-1].found.endswith("harness run digits")
    assert all(bool(f.remedy) == (f.verdict is not Severity.ok) for f in findings)
    assert not any(tmp_path.iterdir()), "nothing is written"


def test_without_torch_the_rest_is_not_looked_at(tmp_path, monkeypatch):
    fault = problem("torch", "cannot be imported", "pip install torch")
    monkeypatch.setattr(software, "torch_findings", lambda: [fault])
    monkeypatch.setattr(machine, "device_findings", lambda: pytest.fail("looked on"))
    findings = list(examine(tmp_path))
    assert fault in findings
    assert findings[-1].found == "was not checked"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (UserError("no model is called 'vae'"), "cannot be planned: no model is called 'vae'"),
        (OSError("disk gone"), "cannot be planned: OSError: disk gone"),
    ],
)
def test_a_benchmark_that_cannot_be_planned(monkeypatch, tmp_path, error, expected):
    def fail(*arguments):
        raise error

    monkeypatch.setattr("harness.api.plan", fail)
    finding = harness.doctor.benchmark_finding(tmp_path)
    assert (finding.verdict, finding.found) == (Severity.problem, expected)


def test_warnings_do_not_change_the_exit_code(monkeypatch):
    answer = doctor(monkeypatch, [ok("a", "fine"), warning("b", "odd", "mend b")])
    assert answer.exit_code == 0
    assert [line.split() for line in answer.output.splitlines()] == [
        ["ok", "a", "fine"],
        ["warning", "b", "odd", "->", "mend", "b"],
    ]


def test_a_problem_does(monkeypatch):
    answer = doctor(monkeypatch, [problem("a", "bad [red]", "mend [a]"), ok("b", "fine")])
    assert answer.exit_code == 1
    assert "bad [red] -> mend [a]" in answer.output


def test_json(monkeypatch):
    answer = doctor(monkeypatch, [problem("a", "bad", "mend a")], "--json")
    assert answer.exit_code == 1
    [expected] = json.loads(answer.output)
    assert expected == {"subject": "a", "verdict": "problem", "found": "bad", "remedy": "mend a"}
