"""What the launcher makes of codes, silence, memory and logs, without any worker."""

import os
import signal
import subprocess
import time

import psutil
import pytest
from support.stored import TRIAL, trial

from harness.launchers import log_file
from harness.launchers.ending import row_of
from harness.launchers.memory import MemoryWatch, oom_kills
from harness.launchers.processes import LOST
from harness.machine.exit import FULL, STOPPED
from harness.machine.heartbeat import FILE, HANG, Heartbeat, Progress, Silence
from harness.storage.store import RESUMABLE


class Kills:
    """The kernel's counter of kills for want of memory."""

    count: int | None = 3

    def __call__(self):
        return self.count


@pytest.fixture
def memory():
    kills = Kills()
    watch = MemoryWatch(0, kills)
    watch.kills, watch.peak = kills, 3 * 2**30
    return watch


def ending(folder, code, **known):
    row = row_of(TRIAL, folder, code, progress=Progress("train", 0.5), **known)
    return row.status, row.reason


@pytest.mark.parametrize(
    ("code", "status", "reason"),
    [
        (1, "error", "the worker exited with code 1 at 50% of the budget"),
        (0, "error", "the worker exited with code 0 and without a row at 50% of the budget"),
        (STOPPED, "error", "the worker exited with code 75 at 50% of the budget"),
        (FULL, "killed", "no space is left for FOLDER; free some and run again to resume"),
        (-signal.SIGTERM, "killed", "stopped on request at 50% of the budget; run again to resume"),
        (
            -signal.SIGSEGV,
            "error",
            "the worker died of SIGSEGV at 50% of the budget; its log shows where",
        ),
        (-40, "error", "the worker died of signal 40 at 50% of the budget; its log shows where"),
    ],
)
def test_a_code_is_reported_as_what_it_means(tmp_path, code, status, reason):
    assert ending(tmp_path, code) == (status, reason.replace("FOLDER", str(tmp_path)))


@pytest.mark.parametrize("name", ["SIGHUP", "SIGUSR1", "SIGQUIT", "SIGXCPU"])
def test_a_worker_that_somebody_ends_by_another_signal_resumes(tmp_path, name):
    status, reason = ending(tmp_path, -getattr(signal, name))
    assert status in RESUMABLE
    assert (
        reason
        == f"ended by signal {name} at 50% of the budget, sent from outside; run again to resume"
    )


def test_only_a_worker_that_was_asked_to_stop_was_stopped(tmp_path):
    expected = "killed", "stopped on request at 50% of the budget; run again to resume"
    assert ending(tmp_path, STOPPED, asked=True) == expected
    heartbeat = Heartbeat(tmp_path)
    heartbeat.report(Progress("train", 0.7))
    heartbeat.report_stopped()
    expected = "killed", "stopped on request at 70% of the budget; run again to resume"
    assert ending(tmp_path, STOPPED) == expected


def test_a_worker_that_lost_its_server_was_not_asked_to_stop(tmp_path):
    expected = "killed", "the process that forked its worker died at 50% of the budget; run again"
    status, reason = ending(tmp_path, LOST)
    assert (status, reason.removesuffix(" to resume")) == expected
    assert status in RESUMABLE
    # It may have been done by then.
    (tmp_path / "row.json").write_text(TRIAL.row("ok").model_dump_json())
    assert ending(tmp_path, LOST) == ("ok", None)


def test_a_row_that_a_plugin_faked_is_none(tmp_path):
    (tmp_path / "row.json").write_text("{}")
    assert ending(tmp_path, 0)[0] == "error"
    (tmp_path / "row.json").write_text(trial(1).row("ok").model_dump_json())
    assert ending(tmp_path, 0)[0] == "error"


def test_the_kernels_kill_is_distinguished_from_a_hands(tmp_path, memory):
    status, reason = ending(tmp_path, -signal.SIGKILL, memory=memory)
    assert status == "killed"
    assert "by a user or because the machine ran out of memory; it held 3.00 GiB at most" in reason
    assert ending(tmp_path, -signal.SIGKILL, memory=memory, asked=True)[1].startswith("asked to st")
    memory.kills.count += 1
    row = row_of(TRIAL, tmp_path, -signal.SIGKILL, memory=memory)
    assert row.status == "out_of_memory"
    assert row.reason == (
        "the system killed the worker at its start because memory ran out; it held 3.00 GiB at most"
    )
    assert row.usage.peak_memory == 3 * 2**30
    # Another's death for want of memory is not that of a worker which ended otherwise.
    assert ending(tmp_path, -signal.SIGSEGV, memory=memory)[0] == "error"
    memory.kills.count = None
    assert ending(tmp_path, -signal.SIGKILL, memory=memory)[0] == "killed"


def test_only_a_death_for_want_of_memory_at_the_end_is_the_workers_own():
    """Others of the control group may have been killed so long before, and a hand come after."""
    kills = Kills()
    watch = MemoryWatch(os.getpid(), kills)
    watch.look()
    kills.count += 1
    assert watch.ran_out
    for _ in range(2):
        watch.look()
    assert not watch.ran_out
    kills.count += 1
    assert watch.ran_out


def test_a_worker_that_takes_long_to_die_of_want_of_memory_has(tmp_path):
    """It has given its memory back, and may not have been seen to have ended for many looks."""
    kills = Kills()
    with subprocess.Popen(["sleep", "600"]) as worker:
        watch = MemoryWatch(worker.pid, kills)
        watch.look()
        assert watch.peak > 0
        kills.count += 1
        worker.kill()
        while psutil.Process(worker.pid).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        for _ in range(9):
            watch.look()
        assert watch.ran_out


@pytest.mark.parametrize(
    ("groups", "file"),
    [
        ("0::/a/b\n", "a/b/memory.events"),
        ("5:devices:/\n4:memory:/a\n0::/\n", "memory/a/memory.oom_control"),
        ("3:cpu,memory:/c\n", "memory/c/memory.oom_control"),
    ],
)
def test_kills_are_counted_in_the_control_group(tmp_path, groups, file):
    proc, cgroups = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    (proc / "self/cgroup").write_text(groups)
    assert oom_kills(cgroups, proc) is None
    (proc / "vmstat").write_text("pgfault 4\noom_kill 9\n")
    assert oom_kills(cgroups, proc) == 9
    (cgroups / file).parent.mkdir(parents=True)
    (cgroups / file).write_text("low 0\noom 7\noom_kill 2\noom_group_kill 5\n")
    assert oom_kills(cgroups, proc) == 2


def test_what_a_hung_worker_was_doing_goes_to_its_log(tmp_path):
    (tmp_path / HANG).write_text('Timeout!\n  File "slow.py", line 3 in wait\n')
    (tmp_path / log_file.FILE).write_text("before\n")
    assert ending(tmp_path, 1) == ("timeout", "silent for 900 s at 50% of the budget; ended")
    assert (tmp_path / log_file.FILE).read_text().endswith("line 3 in wait\n")
    (tmp_path / HANG).touch()
    assert ending(tmp_path, 1)[0] == "error"
    assert ending(tmp_path, -signal.SIGKILL, hung=True)[0] == "timeout"


def test_silence_is_counted_from_the_last_word_whatever_the_wall_clock_says(tmp_path):
    now = [1000.0]
    silence = Silence(tmp_path, lambda: now[0])
    now[0] += 7
    assert silence.seconds == 7
    heartbeat = Heartbeat(tmp_path)
    heartbeat.report(Progress("train", 0.1))
    assert silence.seconds == 0
    now[0] += 5
    assert silence.seconds == 5
    # The wall clock is set a year ahead, then a year back: each is a word, and none an alarm.
    for year in (2**25, -(2**25)):
        heartbeat.report(Progress("train", 0.1))
        path = tmp_path / FILE
        stamp = path.stat().st_mtime_ns + year * 10**9
        os.utime(path, ns=(stamp, stamp))
        assert silence.seconds == 0
        now[0] += 3
        assert silence.seconds == 3


def test_a_log_keeps_its_beginning_and_its_end(tmp_path):
    path = tmp_path / log_file.FILE
    path.write_bytes(b"first" + b"x" * 990 + b"last!")
    log_file.bound(tmp_path, limit=1000, kept=100)
    assert path.stat().st_size == 1000
    with open(path, "ab") as worker:
        worker.write(b"more")
        worker.flush()
        log_file.bound(tmp_path, limit=1000, kept=100)
        worker.write(b" and more")
    content = path.read_bytes()
    assert content.startswith(b"first") and content.endswith(b"last!more and more")
    assert b"\n... 804 bytes are left out here ...\n" in content
    assert len(content) < 300
