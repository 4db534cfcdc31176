"""How the processes of a trial find each other: on this machine alone, and not for ever."""

import subprocess
import sys
import threading

import psutil
import pytest
from support.replicated import CPU
from torch._C._distributed_c10d import TCPStore

from harness.training.parallel import leader
from harness.training.parallel.leader import ReplicaLost, replicas_for
from harness.training.parallel.replicas import Replicas


class Follower:
    """A further process of a trial, as a thread of this one."""

    def __init__(self, folder, device, rank, count, port):
        self.arguments = rank, count, port
        self.over, self.asked = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._follow)
        self.thread.start()

    def _follow(self):
        rank, count, port = self.arguments
        store = TCPStore("127.0.0.1", port)
        store.set(f"ready {rank}", "")
        group = Replicas(rank, count, store, CPU, patience=20.0)
        assert group.agree(0.0) == 7.0
        self.over.wait(20)

    def poll(self):
        return None if self.thread.is_alive() else 0

    def kill(self):
        self.over.set()

    def wait(self):
        self.thread.join()


def listening():
    connections = psutil.Process().net_connections()
    return {tuple(c.laddr) for c in connections if c.status == psutil.CONN_LISTEN}


def test_nothing_listens_to_other_machines(tmp_path, monkeypatch):
    monkeypatch.setattr(leader, "_start", Follower)
    monkeypatch.setattr(leader, "LAST_WORDS_SECONDS", 0.0)
    outward = [
        name
        for name, addresses in psutil.net_if_addrs().items()
        if any(a.family.name == "AF_INET" and a.address != "127.0.0.1" for a in addresses)
    ]
    if outward:
        monkeypatch.setenv("GLOO_SOCKET_IFNAME", outward[0])
    before = listening()
    with replicas_for(tmp_path, CPU, 2, 20.0, lambda: None) as replicas:
        assert replicas.agree(7.0) == 7.0
        opened = listening() - before
    # The store and, for each of both processes, gradients and words.
    assert len(opened) == 5
    assert {address for address, _ in opened} == {"127.0.0.1"}


def test_a_process_that_hangs_at_its_start_ends_the_trial_in_time(tmp_path, monkeypatch):
    started = []

    def start(*_):
        started.append(
            subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"])
        )
        return started[0]

    monkeypatch.setattr(leader, "_start", start)
    beats = []
    with pytest.raises(ReplicaLost, match=r"process 2 of 2 was not ready after 0\.2 s") as lost:
        with replicas_for(tmp_path, CPU, 2, 0.2, lambda: beats.append(started[0].poll())):
            raise AssertionError("was ready")
    assert lost.value.status == "timeout"
    assert beats and started[0].poll() is not None
