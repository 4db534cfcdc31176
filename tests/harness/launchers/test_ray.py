"""Trials on a Ray cluster have the rows that they have here, also when their node dies."""

import os
import shutil
import signal
import socket
import sys
import tempfile
import types

import pytest
from support.faulty_plugin import install
from support.whole_runs import benchmark, end, reproducible_part, rows, start, trials, wait_for

from harness import api
from harness.cli import run_command
from harness.errors import UserError
from harness.launchers import ray as launcher
from harness.launchers.agenda import Agenda, Observer
from harness.storage.store import Store

NODE = {
    "node_ip_address": "127.0.0.1",
    "include_dashboard": False,
    "object_store_memory": 80 * 2**20,
}


def test_without_ray_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install 'genharness\[ray\]'"):
        launcher.RayLauncher()


def test_an_address_where_nothing_listens_is_refused_at_once(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", types.ModuleType("ray"))
    scheduling = types.ModuleType("ray.util.scheduling_strategies")
    monkeypatch.setitem(sys.modules, "ray.util", types.ModuleType("ray.util"))
    monkeypatch.setitem(sys.modules, scheduling.__name__, scheduling)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(UserError, match=f"{address}: there is no Ray cluster.*ray start"):
            launcher.RayLauncher(address)


def test_tasks_are_not_given_the_current_folder(monkeypatch, tmp_path):
    """Ray hands on the folder that it is started in, as the first one that tasks import from."""
    seen = []
    ray = types.ModuleType("ray")
    ray.init = lambda **options: seen.append((os.getcwd(), os.listdir()))
    monkeypatch.setitem(sys.modules, "ray", ray)
    for name in ("ray.util", "ray.util.scheduling_strategies"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.chdir(tmp_path)
    launcher._connect("auto")
    [(folder, content)] = seen
    assert folder != str(tmp_path) and content == []
    assert os.getcwd() == str(tmp_path)


@pytest.mark.parametrize(
    ("place", "address", "devices", "workers", "message"),
    [
        ("local", "localhost:1", [], None, "add --launcher ray"),
        ("ray", None, [], 2, "resources of the cluster"),
        ("ray", None, ["cuda:1"], None, "write cpu or cuda"),
    ],
)
def test_options_that_do_not_go_together_are_refused(place, address, devices, workers, message):
    with pytest.raises(UserError, match=message):
        run_command._launcher(run_command.LauncherKind(place), address, devices, workers, None)


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Variables under which Ray stays on this machine and keeps to a folder of its own."""
    # The paths of its sockets must be short.
    own = tempfile.mkdtemp(prefix="ray")
    before = dict(os.environ)
    os.environ |= install(tmp_path_factory.mktemp("site")) | {
        "RAY_TMPDIR": own,
        "RAY_USAGE_STATS_ENABLED": "0",
        # Otherwise it goes to 127.0.0.1 by the machine's address in its network.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    }
    yield dict(os.environ)
    os.environ.clear()
    os.environ |= before
    shutil.rmtree(own, ignore_errors=True)


@pytest.fixture
def cluster(environment):
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args=NODE | {"num_cpus": 0})
    yield cluster
    cluster.shutdown()


def planned(folder, models, budget="1 steps"):
    """Trials of this process's plugins."""
    return api.plan(str(benchmark(folder, models, budget)), folder).trials


def go(folder, environment, *options):
    """Start a trial that takes its time and one that fails."""
    models = '{model = "steady", settings.step_seconds = 0.3}, "raises"'
    return start(benchmark(folder, models, "60 steps"), environment, *options)


@pytest.mark.slow
def test_a_trial_goes_on_elsewhere_when_its_node_dies(cluster, environment, tmp_path):
    (tmp_path / "here").mkdir()
    here = end(go(tmp_path / "here", environment))
    assert here.returncode == 1, here.stderr  # one of the models raises
    first = cluster.add_node(**NODE, num_cpus=1)
    options = ("--launcher", "ray", "--address", cluster.address)
    there = tmp_path / "there"
    there.mkdir()
    driver = go(there, environment, *options)
    wait_for(there, "checkpoint.pt", driver)
    cluster.add_node(**NODE, num_cpus=1)
    cluster.remove_node(first, allow_graceful=False)
    ended = end(driver)
    assert ended.returncode == 1, ended.stderr
    expected, found = rows(tmp_path / "here"), rows(there)
    assert {label: reproducible_part(row) for label, row in found.items()} == {
        label: reproducible_part(row) for label, row in expected.items()
    }
    assert found["steady"]["usage"]["starts"] == 2
    assert "the plugin is broken" in found["raises"]["reason"]
    assert not list((trials(there) / found["steady"]["trial"]).glob(".*"))


@pytest.mark.slow
def test_ctrl_c_stops_cleanly_and_the_next_run_resumes(cluster, environment, tmp_path):
    cluster.add_node(**NODE, num_cpus=1)
    options = ("--launcher", "ray", "--address", cluster.address)
    driver = go(tmp_path, environment, *options)
    wait_for(tmp_path, "checkpoint.pt", driver)
    driver.send_signal(signal.SIGINT)
    assert end(driver).returncode == 130
    assert rows(tmp_path)["steady"]["status"] == "killed"
    assert "stopped on request" in rows(tmp_path)["steady"]["reason"]
    again = end(go(tmp_path, environment, *options))
    assert again.returncode == 1, again.stderr
    row = rows(tmp_path)["steady"]
    assert (row["status"], row["usage"]["starts"]) == ("ok", 2)


@pytest.mark.slow
def test_a_killed_driver_leaves_its_trial_to_the_next_run(cluster, environment, tmp_path):
    """Which waits until the worker on the node has left: it writes a checkpoint."""
    cluster.add_node(**NODE, num_cpus=1)
    options = ("--launcher", "ray", "--address", cluster.address)
    driver = go(tmp_path, environment, *options)
    wait_for(tmp_path, "checkpoint.pt", driver)
    driver.kill()
    again = end(go(tmp_path, environment, *options))
    assert again.returncode == 1, again.stderr
    row = rows(tmp_path)["steady"]
    assert (row["status"], row["usage"]["starts"]) == ("ok", 2)


@pytest.mark.slow
def test_files_travel_where_nodes_do_not_share_a_path(cluster, environment, tmp_path, monkeypatch):
    first = cluster.add_node(**NODE, num_cpus=1)
    (trial,) = planned(tmp_path, '{model = "vae", settings.width = 4}', "1k steps")
    store = Store(tmp_path, "mine")
    store.prepare()

    class KillsTheNode(Observer):
        def __init__(self):
            self.seen = []

        def progressed(self, trial, progress):
            self.seen.append(progress.fraction)
            if (
                first in cluster.worker_nodes
                and (store.working(trial.id) / "checkpoint.pt").exists()
            ):
                cluster.add_node(**NODE, num_cpus=1)
                cluster.remove_node(first, allow_graceful=False)

    observer = KillsTheNode()
    ray = launcher.RayLauncher(cluster.address)
    # No node finds what the driver wrote.
    monkeypatch.setattr(launcher, "CLAIM", ".written-elsewhere")
    ray.check([trial])
    ray.run(Agenda([trial], store, observer))
    row = store.row(trial.id)
    assert (row.status, row.usage.starts) == ("ok", 2)
    assert observer.seen[-1] == 1.0
    assert (store.ended(trial.id) / "samples.npz").exists()
    assert len(cluster.worker_nodes) == 1


@pytest.mark.slow
def test_what_no_node_has_is_refused(cluster, tmp_path):
    cluster.add_node(**NODE, num_cpus=1)
    several = planned(tmp_path, '"realnvp", {model = "vae", devices = 2}')
    ray = launcher.RayLauncher(cluster.address)
    try:
        with pytest.raises(UserError, match="vae needs 2 CPU on one node.*the largest have 1"):
            ray.check(several)
    finally:
        ray._ray.shutdown()
