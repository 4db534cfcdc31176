"""A disk that fills up costs nothing that was there, and the message says where and what to do."""

import errno
import os

import pytest
import torch
from support.stored import TRIAL

from harness.errors import UserError
from harness.files.disk import write_atomically
from harness.storage.store import Store
from harness.training.divergence import Diverged
from harness.worker.failure import diagnose

CPU = torch.device("cpu")


def refuse(descriptor):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_row_that_cannot_be_written_leaves_the_trial_to_the_next_run(tmp_path, monkeypatch):
    store = Store(tmp_path, "mine")
    (store.begin(TRIAL) / "checkpoint.pt").write_text("state")
    with monkeypatch.context() as now:
        now.setattr(os, "fsync", refuse)
        with pytest.raises(UserError, match=f"no space is left for {store.folder}; free some and"):
            store.finish(TRIAL.row("ok"))
    assert store.row(TRIAL.id) is None
    folder = store.begin(TRIAL)
    assert {path.name for path in folder.iterdir()} == {"checkpoint.pt", "trial.json"}
    store.finish(TRIAL.row("ok"))
    assert store.row(TRIAL.id).status == "ok"


def test_what_could_not_be_written_leaves_no_part_of_it(tmp_path, monkeypatch):
    write_atomically(tmp_path / "row.json", b"old")
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(tmp_path / "row.json", b"new")
    assert os.listdir(tmp_path) == ["row.json"]
    assert (tmp_path / "row.json").read_bytes() == b"old"


def test_what_a_kill_left_half_written_is_cleared_away(tmp_path):
    store = Store(tmp_path, "mine")
    (store.begin(TRIAL) / ".checkpoint.pt.123").write_text("half")
    assert os.listdir(store.begin(TRIAL)) == ["trial.json"]


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (OSError(errno.ENOSPC, "x"), "killed", "no space is left for FOLDER; free some and run"),
        (OSError(errno.EDQUOT, "x"), "killed", "no space is left for FOLDER"),
        (OSError(errno.ENOMEM, "x"), "out_of_memory", "of the host's"),
        (OSError(errno.EACCES, "x"), "error", "PermissionError: [Errno 13] x"),
        (MemoryError(), "out_of_memory", "MemoryError: ; at most"),
        (RuntimeError("std::bad_alloc"), "out_of_memory", "of the host's"),
        (RuntimeError("no\nluck"), "error", "RuntimeError: no luck"),
        (Diverged("loss 'a' is nan"), "diverged", "loss 'a' is nan"),
        (SystemExit(3), "error", "SystemExit: 3"),
    ],
)
def test_an_exception_is_reported_as_what_it_means(tmp_path, error, status, reason):
    found = diagnose(error, CPU, tmp_path)
    assert found[0] == status
    assert reason.replace("FOLDER", str(tmp_path)) in found[1]
    assert "\n" not in found[1]
