"""Who holds a lock, in words, when somebody waits for it."""

import json
import os
import re
import signal
import subprocess
import sys

import pytest

from harness.files import locks
from harness.files.locks import Lock, holder

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lock"


def test_the_holder_is_named_with_the_time(path):
    with Lock(path):
        message = holder(path)
    assert re.match(rf"process {os.getpid()}\b.* since 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d", message)


@linux
def test_a_daemon_that_holds_on_to_it_is_named_and_so_is_the_one_who_took_it(path):
    source = f"""
import subprocess
from pathlib import Path
from harness.files.locks import Lock
lock = Lock(Path({str(path)!r}))
print(subprocess.Popen(["sleep", "600"], pass_fds=[lock.fileno()], stdout=-3).pid)
"""
    taker = subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE)
    daemon = int(taker.communicate()[0])
    try:
        message = holder(path)
        assert message.startswith(f"process {daemon} (sleep 600) since 20")
        assert message.endswith(f"; process {taker.pid}, which took it, has ended")
    finally:
        os.kill(daemon, signal.SIGKILL)


def test_one_on_another_machine_is_named_as_it_signed(path):
    path.write_text(json.dumps({"process": 7, "host": "node3", "since": "2026-01-31 12:00:00"}))
    assert holder(path) == "process 7 of node3 since 2026-01-31 12:00:00"
    path.write_text("no record")
    assert holder(path) == "a process that cannot be seen here"


@linux
def test_one_who_waits_for_long_says_for_whom(path, monkeypatch, caplog):
    monkeypatch.setattr(locks, "SILENT_SECONDS", 0.0)
    held = Lock(path)
    taken = locks.fcntl.flock
    calls = []

    def flock(descriptor, how):
        calls.append(how)
        if how == locks.fcntl.LOCK_EX:
            held.release()
        return taken(descriptor, how)

    monkeypatch.setattr(locks.fcntl, "flock", flock)
    with Lock(path, wait=True):
        assert f"waiting for {path}, which is held by process {os.getpid()} (" in caplog.text
    assert locks.fcntl.LOCK_EX in calls
