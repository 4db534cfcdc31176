import shutil

import pytest

from harness.tracking import DATABASE, Tracker


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    """An MLflow database without runs; making one takes a few seconds."""
    results = tmp_path_factory.mktemp("empty")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        assert Tracker(results).client
    return results / DATABASE


@pytest.fixture
def tracked_results(tmp_path, empty_store, monkeypatch):
    """A results folder with such a database."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(empty_store, tmp_path / DATABASE)
    return tmp_path
