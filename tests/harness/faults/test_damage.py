"""What is damaged on a disk is noticed by its hash, named, and refused or made again."""

import gzip
import hashlib
import subprocess

import numpy as np
import pytest
from support.stored import TRIAL, curve

from harness.contract import DataSpec
from harness.dataset import Dataset, Split
from harness.errors import UserError
from harness.features.cache import VARIABLE
from harness.features.pixels import Pixels
from harness.files.integrity import FILE
from harness.measurement.references import cache_path, dataset_reference, split_content
from harness.planning.benchmark import parse_benchmark
from harness.publishing.reading import read_results
from harness.storage.store import Store
from harness_datasets import mnist

SOURCE = 'name = "mine"\ndatasets = ["digits"]\nmodels = ["vae"]\nbudget = "5 steps"'


@pytest.fixture
def store(tmp_path):
    """A store with one trial, ended."""
    store = Store(tmp_path, "mine")
    folder = store.begin(TRIAL)
    curve(TRIAL, fid=12.5).to_parquet(folder / "curve.parquet")
    (folder / "samples.png").write_bytes(b"\x89PNG picture")
    (folder / "log.txt").write_text("log")
    (folder / "checkpoint.pt").write_text("state")
    store.finish(TRIAL.row("ok", metrics={"fid": {"value": 12.5}}))
    return store


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def test_an_ended_trial_is_sealed_so_that_sha256sum_can_check_it(store):
    folder = store.ended(TRIAL.id)
    named = [line.split()[1] for line in (folder / FILE).read_text().splitlines()]
    assert named == ["curve.parquet", "row.json", "samples.png", "trial.json"]
    assert subprocess.run(["sha256sum", "-c", "--quiet", FILE], cwd=folder).returncode == 0
    # A log may be read with an editor; it says nothing that is counted.
    (folder / "log.txt").write_text("another")
    assert store.row(TRIAL.id).status == "ok"


def test_a_figure_that_changed_in_a_row_is_noticed(store):
    """The row is still JSON and still a row: nothing but its hash tells."""
    path = store.ended(TRIAL.id) / "row.json"
    text = path.read_text()
    path.write_text(text.replace("12.5", "11.5"))
    with pytest.raises(UserError, match=f"{path} is damaged: .*SHA-256.*remove its folder to run"):
        store.row(TRIAL.id)
    path.write_text(text)
    assert store.row(TRIAL.id).metrics["fid"].value == 12.5


@pytest.mark.parametrize("given", ["results", "row.json"])
def test_a_figure_that_changed_is_noticed_by_path_too(store, given):
    """What others hand over is read by its path, and not by the name of a benchmark."""
    path = store.ended(TRIAL.id) / "row.json"
    source = {"results": store.folder, "row.json": path}[given]
    assert read_results(source).rows == (store.row(TRIAL.id),)
    path.write_text(path.read_text().replace("12.5", "11.5"))
    with pytest.raises(UserError, match=f"{path} is damaged: its SHA-256.*copy it again"):
        read_results(source)


@pytest.mark.parametrize("damage", [flip, cut])
@pytest.mark.parametrize("name", ["curve.parquet", "samples.png"])
def test_damage_in_a_results_folder_is_named(store, name, damage):
    path = store.ended(TRIAL.id) / name
    damage(path)
    with pytest.raises(UserError, match=f"{path} is damaged: its SHA-256"):
        read_results(store.folder)


@pytest.mark.parametrize("damage", [flip, cut])
@pytest.mark.parametrize("name", ["row.json", "curve.parquet", "samples.png"])
def test_damage_is_named_and_nothing_of_it_is_used(store, name, damage):
    path = store.ended(TRIAL.id) / name
    damage(path)
    with pytest.raises(UserError, match="is damaged: its SHA-256 is not the one in SHA256SUMS"):
        found = store.results(parse_benchmark(SOURCE, "mine.toml"), SOURCE, [TRIAL])
        found.pictures[TRIAL.id]


def test_a_seal_that_is_damaged_vouches_for_nothing(store):
    cut = store.ended(TRIAL.id) / FILE
    cut.write_bytes(cut.read_bytes()[:70])
    with pytest.raises(UserError, match="row.json is damaged"):
        store.row(TRIAL.id)


def test_a_trial_that_resumes_is_not_held_to_its_old_seal(store):
    store.begin(TRIAL)
    store.finish(TRIAL.row("killed", "by hand"))
    folder = store.begin(TRIAL)
    assert not (folder / FILE).exists()
    store.finish(TRIAL.row("ok"))
    assert store.row(TRIAL.id).status == "ok"


@pytest.mark.parametrize("damage", [flip, cut])
def test_damaged_reference_features_are_computed_again(tmp_path, monkeypatch, damage):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    spec = DataSpec.images((1, 4, 4))
    images = np.random.default_rng(0).integers(0, 256, (50, 1, 4, 4), np.uint8)
    data = Dataset("noise", spec, *(Split(images[i::3]) for i in range(3)))
    extractor = Pixels(spec)
    first = dataset_reference(data, "train", extractor).moments
    path = cache_path(split_content(data, "train"), extractor)
    whole = path.read_bytes()
    damage(path)
    again = dataset_reference(data, "train", extractor).moments
    assert again.mean.equal(first.mean) and again.covariance.equal(first.covariance)
    assert path.read_bytes() == whole


@pytest.mark.parametrize("damage", [flip, cut])
def test_a_damaged_file_of_a_data_set_is_refused_by_name(tmp_path, monkeypatch, damage):
    digests = {}
    folder = tmp_path / "MNIST/raw"
    folder.mkdir(parents=True)
    monkeypatch.setenv("GENHARNESS_DATA", str(tmp_path))
    for name in mnist.MNIST:
        content = b"\0\0\x08\x01\0\0\x00\x10" + bytes(16)
        (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        digests[name] = hashlib.sha256(content).hexdigest()
    name = "train-images-idx3-ubyte"
    assert len(mnist._read("mnist", "MNIST/raw", name, digests[name])) == 16
    damage(folder / f"{name}.gz")
    with pytest.raises(UserError, match=f"{name}.gz (cannot be read|is not the published file)"):
        mnist._read("mnist", "MNIST/raw", name, digests[name])
