import importlib
import sqlite3
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from harness.doctor.finding import Severity
from harness.doctor.tracking import tracking_findings


@pytest.fixture(autouse=True)
def no_mlflow_needed(monkeypatch):
    """Something quick to import in the place of MLflow, and no store in the environment."""
    real = importlib.import_module
    monkeypatch.setattr(
        importlib, "import_module", lambda name: real("rich" if name == "mlflow" else name)
    )
    monkeypatch.setattr("rich.__version__", "3.4.0", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for proxy in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(proxy, raising=False)


@pytest.fixture
def server():
    """A server of which only /health answers, and its address."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/health" else 404)
            self.end_headers()

        def log_message(self, *arguments):
            pass

    with HTTPServer(("127.0.0.1", 0), Answers) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


def store(results):
    mlflow, found = tracking_findings(results)
    assert (mlflow.verdict, mlflow.found) == (Severity.ok, "3.4.0")
    return found


def test_mlflow_that_cannot_be_imported(monkeypatch, tmp_path):
    def fail(name):
        raise ImportError("cannot import name 'x' from 'sqlalchemy'")

    monkeypatch.setattr(importlib, "import_module", fail)
    [finding] = tracking_findings(tmp_path)
    assert finding.verdict is Severity.warning and "sqlalchemy" in finding.found
    assert "pip install mlflow" in finding.remedy and "harness sync" in finding.remedy


def test_a_store_that_is_to_be(tmp_path):
    finding = store(tmp_path)
    assert finding.verdict is Severity.ok and "first run creates" in finding.found
    assert not any(tmp_path.iterdir())


def test_a_store_with_runs(tmp_path):
    with sqlite3.connect(tmp_path / "mlflow.db") as connection:
        connection.execute("CREATE TABLE runs (id)")
        connection.execute("INSERT INTO runs VALUES (1), (2)")
    connection.close()
    assert store(tmp_path).found.endswith("mlflow.db, 2 runs")


def test_a_damaged_store(tmp_path):
    (tmp_path / "mlflow.db").write_text("not a database, whatever its name says" * 99)
    finding = store(tmp_path)
    assert finding.verdict is Severity.warning and "file is not a database" in finding.found
    assert "harness sync" in finding.remedy


def test_a_server(monkeypatch, tmp_path, server):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"{server}/")
    assert store(tmp_path).found == f"{server}/ answers"


def test_a_server_that_is_something_else(monkeypatch, tmp_path, server):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"{server}/elsewhere")
    finding = store(tmp_path)
    assert finding.verdict is Severity.warning and "answers with 404" in finding.found


@pytest.mark.parametrize("port", ["1", "no-number"])
def test_a_dead_server(monkeypatch, tmp_path, port):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    finding = store(tmp_path)
    assert finding.verdict is Severity.warning and "does not answer: " in finding.found
    assert "MLFLOW_TRACKING_URI" in finding.remedy


def test_passwords_are_not_reported(monkeypatch, tmp_path, server):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.replace("//", "//me:secret@"))
    finding = store(tmp_path)
    assert finding.verdict is Severity.ok and "secret" not in str(finding)


def test_another_kind_of_store_is_left_alone(monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "databricks")
    finding = store(tmp_path)
    assert finding.verdict is Severity.ok and "not checked" in finding.found
