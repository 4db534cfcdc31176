"""Workers that a server forks: each as if it had been spawned, with what it needs imported."""

import ctypes
import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest
from support.launching import start_task

from harness.files.locks import Lock
from harness.launchers.processes import LOST, ForkServer, starter_for

STAND_IN = '''
"""Stands in for the libraries that a server imports, and puts a worker of moments in place."""
import json, os, sys, time
import harness.worker.__main__

changed = []

def work():
    folder, task = sys.argv[1:3]
    facts = {
        "program": sys.argv[0], "leads": os.getsid(0) == os.getpid(), "folder": os.getcwd(),
        "input": sys.stdin.read(), "own": os.environ.get("OWN"), "changed": list(changed),
        "random": __import__("numpy").random.rand(),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "error": sys.stderr is not None,
    }
    changed.append(task)
    os.environ["OWN"] = "changed"
    print("said", task, flush=True)
    with open(f"{folder}/{task}.json", "w") as file:
        json.dump(facts, file)
    while task.startswith("waits"):
        time.sleep(0.01)
    if task == "dies":
        os.kill(os.getpid(), 9)
    sys.exit(7)

harness.worker.__main__.main = work
'''

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks are for Linux")


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Start a worker on a task, with the environment that it is given."""
    (tmp_path / "stand_in.py").write_text(STAND_IN)
    monkeypatch.chdir(tmp_path)
    server = ForkServer(libraries=("stand_in",))

    def start(task, **environment):
        return start_task(server, tmp_path, task, [str(tmp_path), task], **environment)

    yield start
    server.close()


def facts(folder, task):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        path = folder / f"{task}.json"
        if path.exists() and (text := path.read_text()):
            return json.loads(text)
        time.sleep(0.01)
    raise AssertionError(f"{task} did not begin")


def test_each_worker_is_a_process_of_its_own(tmp_path, start):
    """Session, input, log, folder, environment are its own; nothing is left of another."""
    codes = [start(task, OWN=task).wait(60) for task in ("one", "two")]
    assert codes == [7, 7]
    one, two = (facts(tmp_path, task) for task in ("one", "two"))
    for task, found in (("one", one), ("two", two)):
        assert found["leads"] and found["folder"] == str(tmp_path)
        assert found["input"] == "" and found["own"] == task
        assert found["program"].endswith("worker/__main__.py")
        assert found["changed"] == []
        assert (tmp_path / f"{task}.log").read_text() == f"said {task}\n"
    assert one["random"] != two["random"]
    assert one["descriptors"] == two["descriptors"]


def test_the_ending_is_reported_while_another_runs(tmp_path, start):
    waits, dies = start("waits"), start("dies")
    assert dies.wait(60) == -signal.SIGKILL
    assert waits.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        waits.wait(0.0)
    facts(tmp_path, "waits")
    with pytest.raises(BlockingIOError):
        Lock(tmp_path / "waits.lock")
    waits.terminate()
    assert waits.wait(60) == -signal.SIGTERM
    Lock(tmp_path / "waits.lock").release()


def test_workers_stop_when_the_server_is_killed_and_the_next_has_a_new_one(tmp_path, start):
    one, two = start("waits"), start("waits-too")
    server = psutil.Process(one.pid).parent()
    facts(tmp_path, "waits"), facts(tmp_path, "waits-too")
    server.kill()
    assert one.wait(60) == two.wait(60) == LOST
    assert start("next").wait(60) == 7


@pytest.fixture
def reaper():
    """Let this process inherit the orphans of its descendants, as process 1 of a container does."""
    set_child_subreaper = 36  # of <linux/prctl.h>
    ctypes.CDLL(None).prctl(set_child_subreaper, 1)
    yield
    ctypes.CDLL(None).prctl(set_child_subreaper, 0)


def test_workers_that_the_driver_inherits_from_a_dead_server_have_ended(tmp_path, reaper, start):
    one = start("waits")
    psutil.Process(one.pid).parent().kill()
    assert one.wait(60) == LOST
    assert not psutil.pid_exists(one.pid)


def test_a_server_that_dies_at_a_start_is_started_once_more(tmp_path, start):
    (tmp_path / "stand_in.py").write_text(
        f"""
import os, pathlib
here = pathlib.Path({str(tmp_path)!r}, "died-before")
if not here.exists():
    here.touch()
    os.kill(os.getpid(), 9)
"""
        + STAND_IN
    )
    assert start("one").wait(60) == 7


def test_a_fork_that_fails_is_reported_and_harms_no_other_worker(tmp_path, start):
    (tmp_path / "stand_in.py").write_text(
        STAND_IN
        + f"""
fork = os.fork
def limited():
    if os.path.exists({str(tmp_path / "full")!r}):
        raise BlockingIOError({errno.EAGAIN}, "no more processes")
    return fork()
os.fork = limited
"""
    )
    one = start("waits")
    facts(tmp_path, "waits")
    (tmp_path / "full").touch()
    with pytest.raises(OSError, match=os.strerror(errno.EAGAIN)):
        start("two")
    assert one.poll() is None
    (tmp_path / "full").unlink()
    assert start("three").wait(60) == 7
    one.terminate()
    assert one.wait(60) == -signal.SIGTERM


def test_ctrl_c_while_the_server_imports_leaves_no_worker(tmp_path, monkeypatch):
    (tmp_path / "slow.py").write_text("import time; time.sleep(600)")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    server = ForkServer(["slow"])
    monkeypatch.setattr(
        "harness.launchers.processes.socket.send_fds",
        lambda *args, send=socket.send_fds: (send(*args), signal.raise_signal(signal.SIGINT)),
    )
    lock = Lock(tmp_path / "lock")
    with open(tmp_path / "log", "ab") as log, pytest.raises(KeyboardInterrupt):
        server.start(["."], environment, log, lock)
    server.close()
    os.close(lock.fileno())
    Lock(tmp_path / "lock").release()


def test_nothing_outlives_a_driver_that_is_killed(tmp_path):
    (tmp_path / "stand_in.py").write_text(STAND_IN)
    source = """
import os, signal
from harness.launchers.processes import ForkServer
from harness.files.locks import Lock
server = ForkServer(["stand_in"])
with open("log", "ab") as log:
    worker = server.start([".", "waits"], os.environ, log, Lock("lock"))
print(worker.pid, flush=True)
signal.pause()
"""
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", source], cwd=tmp_path, env=environment, stdout=subprocess.PIPE
    ) as driver:
        worker = psutil.Process(int(driver.stdout.readline()))
        server = worker.parent()
        driver.kill()
    gone, alive = psutil.wait_procs([worker, server], timeout=60)
    assert not alive


@pytest.mark.parametrize("closed", [(2,), (0, 1, 2)])
def test_standard_streams_that_are_closed_end_no_worker(tmp_path, closed):
    """As in ``harness run digits 2>&-``: other files would get their numbers."""
    (tmp_path / "stand_in.py").write_text(STAND_IN)
    source = """
import os
from harness.machine.standard_streams import ensure_open
ensure_open()
from harness.launchers.processes import ForkServer
from harness.files.locks import Lock
server, lock = ForkServer(["stand_in"]), Lock("lock")
with open("log", "ab") as log:
    code = server.start([".", "task"], os.environ, log, lock).wait(60)
print("printed to nobody", flush=True)
server.close()
os._exit(code)
"""
    driver = subprocess.run(
        [sys.executable, "-c", source],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        preexec_fn=lambda: [os.close(number) for number in closed],
    )
    assert driver.returncode == 7
    assert (tmp_path / "log").read_text() == "said task\n"
    found = facts(tmp_path, "task")
    assert found["error"] and found["input"] == ""


def test_forks_are_for_the_cpu():
    assert isinstance(starter_for(["cpu", "cpu"]), ForkServer)


def test_a_server_that_cannot_import_says_so(tmp_path):
    with (
        open(tmp_path / "log", "ab") as log,
        pytest.raises(ChildProcessError, match="server that forks workers died"),
    ):
        ForkServer(["no_such_library"]).start([], os.environ, log, Lock(tmp_path / "lock"))
