"""Interpreters that have imported before there is a device for their worker."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from support.launching import start_task

from harness.files.locks import Lock
from harness.launchers import processes
from harness.launchers.processes import Spares, Spawner, starter_for

STAND_IN = '''
"""Stands in for the libraries that a spare imports, and puts a worker of moments in place."""
import json, os, sys, time
import harness.worker.__main__

def work():
    folder, task = sys.argv[1:3]
    facts = {
        "program": sys.argv[0], "leads": os.getsid(0) == os.getpid(), "folder": os.getcwd(),
        "input": sys.stdin.read(), "own": os.environ.get("OWN"), "pid": os.getpid(),
    }
    print("said", task, flush=True)
    with open(f"{folder}/{task}.json", "w") as file:
        json.dump(facts, file)
    while task == "waits":
        time.sleep(0.01)
    sys.exit(7)

harness.worker.__main__.main = work
open(f"{os.getpid()}.spare", "w").close()
'''
SPAWNED, TAKEN = 2, 7
"""Codes of a worker without the stand-in, which does not know our arguments, and with it."""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="spares are for Linux")


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Start a worker on a task, with the environment that it is given."""
    (tmp_path / "stand_in.py").write_text(STAND_IN)
    monkeypatch.chdir(tmp_path)
    spares = Spares(libraries=("stand_in",))

    def start(task, **environment):
        return start_task(spares, tmp_path, task, [".", task, "-"], **environment)

    start.close = spares.close
    yield start
    spares.close()


def children():
    """Return the spares of this process, or its workers."""
    return [
        child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE
    ]


def test_the_next_worker_is_the_spare_and_is_as_one_that_was_spawned(tmp_path, start):
    assert start("one", OWN="1").wait(60) == SPAWNED
    (spare,) = children()
    two = start("two", OWN="1")
    assert two.pid == spare.pid and two.wait(60) == TAKEN
    facts = json.loads((tmp_path / "two.json").read_text())
    assert facts["program"].endswith("worker/__main__.py") and facts["pid"] == two.pid
    assert facts["leads"] and facts["folder"] == str(tmp_path)
    assert facts["input"] == "" and facts["own"] == "1"
    assert (tmp_path / "two.log").read_text() == "said two\n"
    # Another environment is another device's, or its libraries would have read another.
    assert start("three", OWN="3").wait(60) == SPAWNED
    assert len(children()) == 2
    assert start("four", OWN="1").wait(60) == start("five", OWN="3").wait(60) == TAKEN


def test_a_spare_that_runs_holds_its_lock_and_is_asked_to_stop(tmp_path, start):
    start("one").wait(60)
    worker = start("waits")
    with pytest.raises(BlockingIOError):
        Lock(tmp_path / "waits.lock")
    worker.terminate()
    assert worker.wait(60) == -signal.SIGTERM
    Lock(tmp_path / "waits.lock").release()


def test_a_spare_that_died_is_none(start):
    start("one").wait(60)
    (spare,) = children()
    spare.kill()
    psutil.wait_procs([spare], timeout=60)
    assert start("two").wait(60) == SPAWNED
    assert start("three").wait(60) == TAKEN


def test_no_spare_is_left(start):
    start("one").wait(60)
    assert children()
    start.close()
    assert not children()


def test_a_spare_ends_with_a_driver_that_is_killed(tmp_path):
    (tmp_path / "stand_in.py").write_text(STAND_IN)
    source = """
import os, signal
from harness.launchers.processes import Spares
from harness.files.locks import Lock
with open("log", "ab") as log:
    Spares(["stand_in"]).start([".", "one", "-"], os.environ, log, Lock("lock")).wait(60)
print("there", flush=True)
signal.pause()
"""
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", source], cwd=tmp_path, env=environment, stdout=subprocess.PIPE
    ) as driver:
        driver.stdout.readline()
        (spare,) = psutil.Process(driver.pid).children()
        while not list(tmp_path.glob("*.spare")):
            time.sleep(0.01)
        driver.kill()
    assert not psutil.wait_procs([spare], timeout=60)[1]


def test_spares_are_for_devices_that_leave_them_a_core(monkeypatch):
    monkeypatch.setattr(processes, "cores", lambda: 2)
    assert isinstance(starter_for(["cuda:0"]), Spares)
    assert isinstance(starter_for(["cuda:0", "cuda:1"]), Spawner)


@pytest.mark.slow
def test_what_a_spare_imports_does_not_ask_for_a_device():
    source = f"""
import importlib, torch
def refuse(*args, **options):
    raise AssertionError("a library asks for a device when it is imported")
for name in ("is_available", "device_count", "init", "_lazy_init"):
    setattr(torch.cuda, name, refuse)
for name in {processes.LIBRARIES}:
    importlib.import_module(name)
assert not torch.cuda.is_initialized()
"""
    subprocess.run([sys.executable, "-c", source], check=True)
