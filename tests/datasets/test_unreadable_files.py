import pytest
from support.unprivileged import bound_by_modes

from harness.doctor.plugins import dataset_findings
from harness.errors import UserError
from harness.plugins.registry import registry
from harness_datasets import cifar, cifar_jpeg, files, mnist

FILES = {
    mnist.load_mnist: "MNIST/raw/train-images-idx3-ubyte.gz",
    cifar.load: "cifar-10-python.tar.gz",
    cifar_jpeg.load: cifar_jpeg.FILE,
}


@pytest.mark.parametrize("load", FILES, ids=lambda load: load.__module__)
def test_a_file_of_a_data_set_that_may_not_be_read_is_named(load, tmp_path, monkeypatch, cache):
    monkeypatch.setenv(files.VARIABLE, str(tmp_path / "data"))
    path = tmp_path / "data" / FILES[load]
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")
    if load is mnist.load_mnist:
        for name in mnist.MNIST:
            (path.parent / f"{name}.gz").write_bytes(b"")
    for locked in (path, tmp_path / "data"):
        locked.chmod(0)
        with bound_by_modes(), pytest.raises(UserError) as refusal:
            load()
        locked.chmod(0o700)
        assert str(tmp_path / "data") in str(refusal.value) and "Permission denied" in str(
            refusal.value
        )


def test_the_doctor_goes_on_past_files_that_may_not_be_looked_for(tmp_path, monkeypatch, cache):
    monkeypatch.setenv(files.VARIABLE, str(tmp_path / "data"))
    (tmp_path / "data").mkdir(mode=0)
    with bound_by_modes():
        found = {finding.subject: finding.found for finding in dataset_findings(registry())}
    for name in ("mnist", "fashion-mnist", "cifar10", "cifar10-jpeg"):
        assert "cannot be read: Permission denied" in found[f"data set {name}"]
