"""Who watches counts the time in which it ran itself; what was paused was not silent."""

import itertools
import os
import signal
import subprocess
import sys

import pytest

from harness.machine import watcher
from harness.machine.heartbeat import Heartbeat, Progress
from harness.machine.silence import LONGEST_GAP, RunningClock, Silence, is_stopped
from harness.machine.watcher import HANG, LOOK_SECONDS, Pauses, watch


class Time:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Time()
    monkeypatch.setattr("time.monotonic", clock)
    return clock


def test_a_pause_of_hours_is_a_moment_of_silence(tmp_path, clock):
    silence = Silence(tmp_path, RunningClock(now=clock))
    for _ in range(8):
        clock.now += 0.25
        assert silence.seconds <= 2.0
    assert silence.seconds == 2.0
    clock.now += 36_000
    assert silence.seconds == 2.0 + LONGEST_GAP
    for _ in range(12):
        clock.now += 0.25
        silence.seconds  # noqa: B018 - a look
    assert silence.seconds == 5.0 + LONGEST_GAP
    Heartbeat(tmp_path).report(Progress("train", 0.1))
    assert silence.seconds == 0.0


def test_while_a_worker_is_stopped_it_is_not_silent_and_that_is_counted_apart(tmp_path):
    stopped, now = [False], Time()
    clock = RunningClock(lambda: stopped[0], now)
    silence = Silence(tmp_path, clock)
    for state, seconds, silent, still in (
        (False, 1.0, 1.0, 0.0),
        (True, 1.0, 1.0, 1.0),
        (True, 0.5, 1.0, 1.5),
        (False, 0.5, 1.5, 0.0),
        (True, 1.0, 1.5, 1.0),
    ):
        stopped[0] = state
        now.now += seconds
        assert (silence.seconds, clock.stopped_for) == (silent, still)


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_a_process_that_is_stopped_is_known_as_that(tmp_path):
    program = tmp_path / "a) T (b"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "600"]) as process:
        assert not is_stopped(process.pid)
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        assert is_stopped(process.pid)
        process.kill()
    assert not is_stopped(process.pid)


def test_pauses_are_reported_for_the_time_that_is_asked_for(clock):
    pauses = Pauses()
    for seconds, stopped in ((0.25, False), (14.0, False), (0.25, False), (0.5, True)):
        clock.now += seconds
        pauses.look(stopped)
    assert pauses.between(1000.0, 1015.0) == 14.0 + 0.5
    assert pauses.between(1000.0, 1001.25) == 1.0
    assert pauses.between(1014.25, 1014.5) == 0.0


@pytest.fixture
def watched(tmp_path, clock, monkeypatch):
    """Watch a worker that says nothing, and looks at it so many seconds apart; return its ends."""

    def watched(looks):
        ended, begin = [], clock.now

        def look(worker):
            for seconds in looks:
                if ended:
                    return
                clock.now += seconds
                yield b""

        monkeypatch.setattr(watcher, "_looks", look)
        monkeypatch.setattr(watcher, "_end", lambda *_: ended.append(clock.now - begin))
        watch(str(tmp_path), 2**30, 6.0, signal.SIGUSR1)
        return ended

    return watched


def test_a_machine_that_is_paused_for_hours_ends_no_worker(watched):
    assert watched([LOOK_SECONDS] * 4 + [36_000.0] + [LOOK_SECONDS] * 15) == []
    assert watched([36_000.0] * 5) == []


def test_a_silent_worker_is_ended_after_its_patience(watched):
    assert watched(itertools.repeat(LOOK_SECONDS)) == [6.25]
    # Also where there was a pause.
    looks = itertools.chain([36_000.0], itertools.repeat(LOOK_SECONDS))
    assert watched(looks) == [36_000 + 5.25]


def test_what_is_asked_is_answered(tmp_path, clock, monkeypatch):
    answers = []
    monkeypatch.setattr(watcher, "_answer", answers.append)

    def looks(worker):
        clock.now += 14.0
        yield b"1003.0 1020.0"

    monkeypatch.setattr(watcher, "_looks", looks)
    watch(str(tmp_path), 2**30, 6.0, signal.SIGUSR1)
    assert answers == [11.0]


def test_a_watcher_ends_what_is_silent_and_is_nobodys_child(tmp_path):
    """A real one, of a process that holds the interpreter's lock."""
    source = f"""
import ctypes, os
from pathlib import Path
from harness.machine.watch import Watch
watch = Watch(Path({str(tmp_path)!r}), 0.5)
assert watch.paused(0.0, 1.0) == 0.0
try:
    os.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    print("no child", flush=True)
while True:
    ctypes.PyDLL(None).sleep(600)
"""
    worker = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)
    assert worker.stdout == "no child\n", worker.stderr
    assert worker.returncode == -signal.SIGKILL
    traces = (tmp_path / HANG).read_text()
    assert traces.startswith("The worker was silent for 0.5 s.")
    assert '"<string>", line 12 in <module>' in traces
