"""No part of a password is printed or kept, however its user wrote it."""

from __future__ import annotations

import base64
import traceback

import pytest
from support.rows import make_row
from support.tracked import finish
from typer.testing import CliRunner

from harness.cli import app
from harness.doctor.tracking import tracking_findings
from harness.errors import UserError
from harness.tracking import BackgroundSender, Tracker, tracked_frame

ADDRESSES = [
    # written, what people see of it, what nobody may see
    ("postgresql://user:qxzvwk/wqq@127.0.0.1:9/db", "postgresql://127.0.0.1:9/db", "qxzvwk wqq"),
    ("postgresql://user:kqj@zzx@127.0.0.1:9/db", "postgresql://127.0.0.1:9/db", "kqj zzx"),
    ("postgresql://user:kqj?zzx@127.0.0.1:9/db", "postgresql://127.0.0.1:9/db", "kqj zzx"),
    ("postgresql://user:kqj?zzx=jjw@127.0.0.1:9/db", "postgresql://***", "kqj zzx jjw"),
    ("postgresql://127.0.0.1:9/db?password=qxz@vwk", "postgresql://***", "qxz vwk"),
    ("postgresql://127.0.0.1:9/db?password=qxzvwk", "postgresql://127.0.0.1:9/db", "qxzvwk"),
    ("postgresql://u:qxzvwk@127.0.0.1/db?sslmode=require", "postgresql://127.0.0.1/db", "qxzvwk"),
    ("postgresql://user:qxzvwk", "postgresql://***", "qxzvwk"),
    ("postgresql:///user:qxzvwk@127.0.0.1/db", "postgresql://***", "qxzvwk"),
    ("mssql+pyodbc:///?odbc_connect=UID=a;PWD=qxz@vwk", "mssql+pyodbc:///", "qxz vwk"),
    ("sqlite+pysqlcipher://:qxz/vwk@//file.db", "sqlite+pysqlcipher:////file.db", "qxz vwk"),
    ("http://user:kqj@zzx@127.0.0.1:9", "http://127.0.0.1:9", "kqj zzx"),
    ("http://user:kqj%40zzx%2F@127.0.0.1:9/x", "http://127.0.0.1:9/x", "kqj zzx"),
    ("http://user:qxzvwk/wqq@127.0.0.1:9", "http://***", "qxzvwk wqq"),
    ("http://user:qxz#vwk@127.0.0.1:9", "http://***", "qxz vwk"),
    ("https://t0ken@127.0.0.1:9", "https://127.0.0.1:9", "t0ken"),
    ("http://127.0.0.1:9/?token=qxzvwk&x=y", "http://127.0.0.1:9/", "qxzvwk"),
    ("http://user:qxzvwk@[::1]:9", "http://[::1]:9", "qxzvwk"),
    ("user:kqj@zzx@127.0.0.1:9", "127.0.0.1:9", "kqj zzx"),
    ("//user:qxzvwk@127.0.0.1:9", "//127.0.0.1:9", "qxzvwk"),
    ('"http://user:qxzvwk@127.0.0.1:9"', "***://***", "qxzvwk"),
]
PLAIN = [
    "http://127.0.0.1:5000/base",
    "http://[::1]:5000",
    "sqlite:////home/me@corp/results/mlflow.db",
    "sqlite+pysqlite:////tmp/a%3Fb/mlflow.db",
    "file:///home/me@corp/mlruns",
    "/home/me@corp/mlruns?",
    "./me@corp/mlruns",
    "mlruns",
    "databricks",
    "databricks://scope:prefix",
]


def said_by(uri):
    """Return what libraries say that could not use an address: all of it, or the parts they saw."""
    rest = uri.partition("//")[2]
    user = rest.rpartition("@")[0]
    return (
        f"cannot connect to {uri}: could not translate host name {rest.partition('@')[2]!r}, "
        f"invalid literal for int() with base 10: {rest.partition(':')[2].partition('/')[0]!r}, "
        f"headers {{'Authorization': 'Basic {base64.b64encode(user.encode()).decode()}'}}, "
        f"user={user!r} password={user.partition(':')[2]}"
    )


@pytest.mark.parametrize(("uri", "public", "secrets"), ADDRESSES)
def test_no_part_of_a_password_is_reported(
    uri, public, secrets, tmp_path, monkeypatch, caplog, capfd
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    row = make_row()
    folder = finish(tmp_path, row, curve=False)

    def fail(self):
        raise ConnectionError(said_by(uri))

    monkeypatch.setattr(Tracker, "_connect", fail)
    tracker = Tracker(tmp_path)
    with BackgroundSender(tracker) as sender:
        sender.send(row, folder)
    answer = CliRunner().invoke(app, ["sync", "--results", str(tmp_path)])
    assert isinstance(answer.exception, UserError)
    printed = [answer.output, *traceback.format_exception(answer.exception)]
    with pytest.raises(UserError) as refused:
        tracked_frame("digits", tmp_path)
    printed.append(str(refused.value))
    printed += [str(finding) for finding in tracking_findings(tmp_path)]
    printed += [caplog.text, *capfd.readouterr()]
    assert tracker.address == public
    for secret in secrets.split():
        assert not [text for text in printed if secret in text]
        assert not [f for f in tmp_path.rglob("*.json") if secret in f.read_text()]


@pytest.mark.parametrize("uri", PLAIN)
def test_an_address_without_a_password_is_reported_as_it_is(uri, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    tracker = Tracker(tmp_path)
    assert tracker.address == uri
    assert tracker.hide(f"cannot open {uri}") == f"cannot open {uri}"


def test_passwords_of_the_environment_are_not_reported(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "p w/1")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t0ken")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI")
    hide = Tracker(tmp_path).hide
    login = base64.b64encode(b"me:p w/1").decode()
    for secret in ("p w/1", "p+w%2F1", "p%20w%2F1", "t0ken", "wJalrXUtnFEMI", login):
        assert hide(f"refused: {secret}.") == "refused: ***."
    assert hide("proxy http://a:b@proxy:1 refused") == "proxy http://proxy:1 refused"
    assert hide("Authorization: Bearer abc.def-1") == "Authorization: Bearer ***"
    assert hide('{"password": "abc"}') == '{"password": "***"}'
