"""Trials on a Ray cluster have the rows that they have here, also when their node dies."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import types

import pytest
from support.faulty_plugin import harness, install

from harness.benchmark import parse_benchmark
from harness.cli import run_command
from harness.errors import UserError
from harness.launchers import ray as launcher
from harness.launchers.agenda import Agenda, Observer
from harness.registry import registry
from harness.store import Store
from harness.trial import plan

MACHINE_DEPENDENT = {"images_per_second", "latency"}
BENCHMARK = """name = "mine"
datasets = ["digits"]
models = [
    {model = "steady", settings.batch_size = 32, settings.step_seconds = %s},
    "raises",
]
budget = "60 steps"
references = false
checkpoint_seconds = 0.05
[evaluation]
samples = 50
batch_size = 50
curve = [0.25, 0.5]
likelihood_images = 20
speed_batch_sizes = [1, 8]
speed_seconds = 0.02
"""
NODE = {
    "node_ip_address": "127.0.0.1",
    "include_dashboard": False,
    "object_store_memory": 80 * 2**20,
}


def test_without_ray_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install 'genharness\[ray\]'"):
        launcher.RayLauncher()


def test_an_address_where_nobody_listens_is_refused_at_once(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", types.ModuleType("ray"))
    scheduling = types.ModuleType("ray.util.scheduling_strategies")
    monkeypatch.setitem(sys.modules, "ray.util", types.ModuleType("ray.util"))
    monkeypatch.setitem(sys.modules, scheduling.__name__, scheduling)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(UserError, match=f"{address}: there is no Ray cluster.*ray start"):
            launcher.RayLauncher(address)


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
        run_command._launcher(run_command.Place(place), address, devices, workers, None)


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


def planned(models, budget="1 steps"):
    """Trials of this process's plugins."""
    text = BENCHMARK % 0.0
    head, tail = text[: text.index("models")], text[text.index("budget") :]
    text = f"{head}models = [{models}]\n{tail}".replace("60 steps", budget)
    return plan(parse_benchmark(text, "mine.toml"), registry())


def start(folder, environment, step_seconds, *options):
    path = folder / "mine.toml"
    path.write_text(BENCHMARK % step_seconds)
    common = ("--tracking", "off", "--threads", "1", *options)
    return subprocess.Popen(
        harness("run", str(path), *common, env=environment),
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def rows(folder):
    paths = (folder / "results/mine/trials").glob("[!.]*/row.json")
    found = [json.loads(path.read_text()) for path in paths]
    assert len({row["label"] for row in found}) == len(found)
    return {row["label"]: row for row in found}


def lasting(row):
    used = ("flops", "images", "steps", "batches", "overrun", "uncounted")
    return {
        "trial": row["trial"],
        "status": row["status"],
        "metrics": {k: v for k, v in row["metrics"].items() if k not in MACHINE_DEPENDENT},
        "digests": row["digests"],
        "usage": {key: row["usage"][key] for key in used},
    }


def wait_for_checkpoint(folder, process):
    while not list(folder.glob("results/mine/trials/.*/checkpoint.pt")):
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.05)


@pytest.mark.slow
def test_a_trial_goes_on_elsewhere_when_its_node_dies(cluster, environment, tmp_path):
    (tmp_path / "here").mkdir()
    here = start(tmp_path / "here", environment, 0.3)
    assert here.wait(timeout=400) == 1, here.stdout.read()  # one of the models raises
    first = cluster.add_node(**NODE, num_cpus=1)
    options = ("--launcher", "ray", "--address", cluster.address)
    there = tmp_path / "there"
    there.mkdir()
    run = start(there, environment, 0.3, *options)
    wait_for_checkpoint(there, run)
    cluster.add_node(**NODE, num_cpus=1)
    cluster.remove_node(first, allow_graceful=False)
    assert run.wait(timeout=400) == 1, run.stdout.read()
    expected, found = rows(tmp_path / "here"), rows(there)
    assert {label: lasting(row) for label, row in found.items()} == {
        label: lasting(row) for label, row in expected.items()
    }
    assert found["steady"]["usage"]["starts"] == 2
    assert "the plugin is broken" in found["raises"]["reason"]
    (folder,) = (there / "results/mine/trials").glob(found["steady"]["trial"])
    assert not list(folder.glob(".ray*"))


@pytest.mark.slow
def test_ctrl_c_stops_cleanly_and_the_next_run_resumes(cluster, environment, tmp_path):
    cluster.add_node(**NODE, num_cpus=1)
    options = ("--launcher", "ray", "--address", cluster.address)
    run = start(tmp_path, environment, 0.3, *options)
    wait_for_checkpoint(tmp_path, run)
    run.send_signal(signal.SIGINT)
    assert run.wait(timeout=200) != 0
    assert rows(tmp_path)["steady"]["status"] == "killed"
    assert "stopped on request" in rows(tmp_path)["steady"]["reason"]
    again = start(tmp_path, environment, 0.3, *options)
    assert again.wait(timeout=400) == 1, again.stdout.read()
    row = rows(tmp_path)["steady"]
    assert (row["status"], row["usage"]["starts"]) == ("ok", 2)


@pytest.mark.slow
def test_files_travel_where_nodes_do_not_share_a_path(cluster, environment, tmp_path, monkeypatch):
    first = cluster.add_node(**NODE, num_cpus=1)
    (trial,) = planned('{model = "vae", settings.width = 4}', "1k steps")
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
    monkeypatch.setattr(launcher, "TOKEN", ".written-elsewhere")
    ray.check([trial])
    ray.run(Agenda([trial], store, observer))
    row = store.row(trial.id)
    assert (row.status, row.usage.starts) == ("ok", 2)
    assert observer.seen[-1] == 1.0
    assert (store.ended(trial.id) / "samples.npz").exists()
    assert len(cluster.worker_nodes) == 1


def test_a_node_with_another_version_of_a_plugin_is_told(tmp_path):
    (trial,) = planned('"vae"')
    other = trial.model_copy(update={"plugin": trial.plugin | {"version": "9.9"}})
    order = launcher.Order(other.model_dump_json(), str(tmp_path), "", {}, "cpu", 1, {})
    row, files = launcher.carry_out(order, board=None)
    row = json.loads(row)
    assert (row["status"], files) == ("error", {})
    assert f"version {trial.plugin['version']}, not 9.9" in row["reason"]
    assert launcher._foreign(trial) is None


@pytest.mark.slow
def test_what_no_node_has_is_refused(cluster):
    cluster.add_node(**NODE, num_cpus=1)
    trials = planned('"realnvp", {model = "vae", devices = 2}')
    ray = launcher.RayLauncher(cluster.address)
    try:
        with pytest.raises(UserError, match="vae needs 2 CPU on one node.*the largest have 1"):
            ray.check(trials)
    finally:
        ray._ray.shutdown()
