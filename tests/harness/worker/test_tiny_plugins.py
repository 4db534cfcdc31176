"""A benchmark of texts, videos and pairs of images, with plugins of each kind, up to its rows."""

import math
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points

import pytest
import torch
from support import tiny_pairs, tiny_text, tiny_video
from support.installed import registry_with
from support.launching import Heard
from support.toy_models import Histogram

from harness import hooks
from harness.launchers.agenda import Agenda
from harness.machine.heartbeat import Heartbeat
from harness.planning.benchmark import parse_benchmark
from harness.planning.resolution import resolve
from harness.plugins.registry import Registry
from harness.storage.store import Store
from harness.training.ledger import Ledger
from harness.worker import trial_run

SOURCE = """
name = "kinds"
datasets = [{datasets}]
models = [{models}]
budget = "150 steps"
references = {references}
[evaluation]
samples = 50
batch_size = 50
features = "pixels"
metrics = ["fid"]
curve = []
speed_batch_sizes = [1]
speed_seconds = 0.001
"""
QUICK = ", ".join(
    f'{{model = "{name}", settings = {{learning_rate = 0.1}}}}'
    for name in ("bigram", "next-frame", "restorer")
)
CPU = torch.device("cpu")


def rows_of(registry, folder, datasets, models, references="false"):
    """Return the rows of all trials by label and data set, each run in this process."""
    names = ", ".join(f'"{name}"' for name in datasets)
    source = SOURCE.format(datasets=names, models=models, references=references)
    trials = resolve(parse_benchmark(source, "kinds.toml"), registry)
    store = Store(folder, "kinds")
    store.prepare()
    agenda = Agenda(trials, store, Heard())
    while (assignment := agenda.take()) is not None:
        trial, own = assignment.trial, assignment.folder
        run = trial_run.TrialRun(trial, own, registry, CPU, Ledger(), Heartbeat(own))
        agenda.finish(assignment, run.run())
    return {(row.label, row.dataset): row for row in (store.row(trial.id) for trial in trials)}


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Return the rows of the three on the data of all, with references on one."""
    folder = tmp_path_factory.mktemp("kinds")
    installed = sorted(entry_points(group=hooks.GROUP), key=lambda point: point.name)
    registry = Registry([*installed, EntryPoint("tiny", "support.tiny_plugin", hooks.GROUP)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENHARNESS_CACHE", str(folder / "cache"))
        patch.setattr(trial_run, "set_numerics", lambda precision: None)
        found = rows_of(registry, folder / "text", ["tiny-text"], QUICK, references="true")
        return found | rows_of(registry, folder, ["tiny-video", "tiny-pairs"], QUICK)


@pytest.mark.parametrize(
    ("model", "data"),
    [("bigram", tiny_text), ("next-frame", tiny_video), ("restorer", tiny_pairs)],
)
def test_a_model_of_another_kind_has_a_row_with_its_figures(rows, model, data):
    dataset = data.load()
    row = rows[model, dataset.name]
    assert (row.status, row.reason) == ("ok", None)
    assert row.protocol["features"].startswith("pixels ")
    for name in ("fid", "fid_test", "bits_per_dim", "latency", "nfe", "flops_per_image"):
        assert row.metrics[name].value is not None, (name, row.metrics[name].reason)


def test_references_stand_beside_texts(rows):
    real, own, null = (
        rows[label, "tiny-text"].metrics["fid"].value for label in ("real", "bigram", "null")
    )
    assert max(real, own) < null / 2


@pytest.mark.parametrize(
    ("model", "data", "excess"),
    # The first frame is one of 16 dots, and not 16 independent pixels.
    [("bigram", tiny_text, 0.0), ("next-frame", tiny_video, 1.4), ("restorer", tiny_pairs, 0.0)],
)
def test_likelihoods_come_near_the_known_entropy_given_the_condition(rows, model, data, excess):
    dataset = data.load()
    bits = rows[model, dataset.name].metrics["bits_per_dim"]
    entropy = dataset.entropy / math.log(2) + excess
    assert bits.kind == "exact"
    # Without its y, an image of a pair has 1 bit/dim.
    assert bits.value == pytest.approx(entropy / dataset.spec.dimensions, abs=0.12)


@pytest.mark.parametrize(
    ("model", "dataset", "reason"),
    [
        ("restorer", "tiny-text", "it makes image, and the data is text"),
        ("bigram", "tiny-video", "it makes text, and the data is video"),
        ("next-frame", "tiny-pairs", "it makes video, and the data is image"),
    ],
)
def test_data_of_another_kind_is_skipped_with_the_reason(rows, model, dataset, reason):
    row = rows[model, dataset]
    assert (row.status, row.reason) == ("skipped", reason)


class Raises(Histogram):
    makes = frozenset({"text", "image"})

    @classmethod
    def supports(cls, spec):
        raise ZeroDivisionError("planted")


def without_conditions():
    data = tiny_pairs.load()
    splits = {name: replace(split, y=None, truth={}) for name, split in data.splits.items()}
    return replace(data, name="alone", spec=replace(data.spec, y=None), **splits)


def test_refusals_and_faults_are_rows_before_anything_is_trained(tmp_path, monkeypatch):
    models = {"raises": Raises, "restorer": tiny_pairs.Restorer}
    datasets = {"tiny-text": tiny_text.load, "alone": without_conditions}
    registry = registry_with(monkeypatch, models=models, datasets=datasets)
    found = rows_of(registry, tmp_path, ["tiny-text"], '"dcgan", "raises"')
    found |= rows_of(registry, tmp_path, ["alone"], '"restorer"')
    gan, raises = found["dcgan", "tiny-text"], found["raises", "tiny-text"]
    assert (gan.status, gan.reason) == ("skipped", "it makes image, and the data is text")
    assert raises.status == "error"
    assert raises.reason.startswith("raises.supports raised ZeroDivisionError: planted")
    restorer = found["restorer", "alone"]
    reason = "it is conditioned on image, and the data's condition is none"
    assert (restorer.status, restorer.reason) == ("skipped", reason)
