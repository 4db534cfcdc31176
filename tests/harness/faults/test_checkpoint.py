"""A checkpoint is what was written, or refused; what could not be written leaves the old one."""

import hashlib
import os
import subprocess

import pytest
import torch
from support.full_disk import full_disk

from harness.storage.checkpoint import FILE, DamagedCheckpoint, load_checkpoint, save_checkpoint

CPU = torch.device("cpu")
STATE = {"model": {"weight": torch.arange(1000.0)}, "curve": [{"fid": 0.1 + 0.2}], "trial": "x"}


@pytest.fixture
def folder(tmp_path):
    save_checkpoint(tmp_path, STATE)
    return tmp_path


def test_a_checkpoint_holds_its_state_and_ends_with_its_sha256(folder):
    state = load_checkpoint(folder, CPU)
    assert torch.equal(state.pop("model")["weight"], STATE["model"]["weight"])
    assert state == {name: STATE[name] for name in ("curve", "trial")}
    content = (folder / FILE).read_bytes()
    assert content[-32:] == hashlib.sha256(content[:-32]).digest()
    # For people, it is a file like any other of torch's.
    assert torch.load(folder / FILE, weights_only=True)["trial"] == "x"
    assert os.listdir(folder) == [FILE]


def test_no_checkpoint_is_no_state(tmp_path):
    assert load_checkpoint(tmp_path, CPU) is None


def test_every_flipped_bit_and_every_cut_is_found(folder):
    path = folder / FILE
    whole = path.read_bytes()
    for place in range(0, len(whole), 97):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << (place % 8)
        path.write_bytes(damaged)
        with pytest.raises(DamagedCheckpoint, match="checkpoint.pt is damaged: its SHA-256"):
            load_checkpoint(folder, CPU)
    for size in (0, 1, 31, 32, 33, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(DamagedCheckpoint, match="checkpoint.pt is damaged"):
            load_checkpoint(folder, CPU)


def test_an_attempt_that_fails_leaves_the_old_checkpoint(folder, monkeypatch):
    before = (folder / FILE).read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(folder, STATE | {"trial": "y"})
    assert (folder / FILE).read_bytes() == before
    assert os.listdir(folder) == [FILE]


def test_a_disk_that_fills_up_leaves_the_old_checkpoint(tmp_path):
    with full_disk(tmp_path / "disk", "64k") as disk:
        save_checkpoint(disk, STATE)
        before = (disk / FILE).read_bytes()
        with pytest.raises(OSError, match="No space left on device"):
            save_checkpoint(disk, {"weight": torch.zeros(100_000)})
        assert (disk / FILE).read_bytes() == before
        assert os.listdir(disk) == [FILE]
    assert subprocess.run(["mountpoint", "-q", disk]).returncode != 0
