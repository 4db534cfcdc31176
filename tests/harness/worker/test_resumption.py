"""A trial that goes on elsewhere, or with other threads, says so; or it starts anew."""

import re

import pytest
import torch
from support.stored import TRIAL

from harness.machine.hardware import fingerprint, identity
from harness.storage.checkpoint import FILE
from harness.worker import resumption

CPU = torch.device("cpu")


def machine(**changes):
    described = fingerprint(CPU) | changes
    return described | {"id": identity(described)}


HERE = machine(threads=1)


def begun(folder, *machines, trial=TRIAL):
    resumption.save(folder, {"trial": trial.id, "curve": [], "machines": list(machines)})
    return trial


def test_on_the_same_machine_nothing_is_said(tmp_path):
    found = resumption.find(tmp_path, begun(tmp_path, HERE), CPU, HERE)
    assert found.state["trial"] == TRIAL.id
    assert found.machines == [HERE] and found.provenance() == {}
    # Another kernel, or more memory, is no other machine.
    alike = machine(threads=1, memory=1, os="another")
    assert resumption.find(tmp_path, TRIAL, CPU, alike).provenance() == {}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"threads": 2}, "threads 1, then 2"),
        ({"cpu": "another", "cores": 64, "threads": 1}, "cpu .*, then another; cores .*, then 64"),
        ({"instructions": "DEFAULT", "threads": 1}, "instructions .*, then DEFAULT"),
    ],
)
def test_another_machine_stands_in_the_row_beside_the_first(tmp_path, changes, expected):
    there = machine(**changes)
    found = resumption.find(tmp_path, begun(tmp_path, HERE), CPU, there)
    assert found.state is not None and found.machines == [HERE, there]
    provenance = found.provenance()
    assert provenance["machines"] == [HERE["id"], there["id"]]
    [change] = provenance["machine_changes"]
    assert re.fullmatch(expected, change)


def test_each_of_several_moves_is_kept(tmp_path):
    two, three = machine(threads=2), machine(threads=3)
    found = resumption.find(tmp_path, begun(tmp_path, HERE, two), CPU, three)
    assert found.provenance()["machine_changes"] == ["threads 1, then 2", "threads 2, then 3"]
    # Also where it stays afterwards.
    found = resumption.find(tmp_path, begun(tmp_path, HERE, two), CPU, two)
    assert found.provenance()["machine_changes"] == ["threads 1, then 2"]


def test_under_device_seconds_it_is_restarted_elsewhere_and_says_so(tmp_path):
    trial = TRIAL.model_copy(update={"budget": "60 device-seconds"})
    two = machine(threads=2)
    begun(tmp_path, HERE, trial=trial)
    found = resumption.find(tmp_path, trial, CPU, two)
    assert found.state is None and found.machines == [two]
    expected = found.provenance()["checkpoint"]
    assert expected == (
        f"{tmp_path} holds a checkpoint of another machine (threads 1, then 2), and "
        "device-seconds of two machines cannot be added; the trial was restarted"
    )
    assert resumption.find(tmp_path, trial, CPU, HERE).state is not None
    # What changes bits and no speed is said alone.
    other = HERE | {"instructions": "DEFAULT"}
    assert resumption.find(tmp_path, trial, CPU, other).provenance()["machine_changes"]


def test_a_checkpoint_from_before_there_were_machines_is_taken(tmp_path):
    resumption.save(tmp_path, {"trial": TRIAL.id, "curve": []})
    found = resumption.find(tmp_path, TRIAL, CPU, HERE)
    assert found.state is not None and found.provenance() == {}


def test_a_damaged_checkpoint_and_that_of_another_trial_are_refused(tmp_path):
    begun(tmp_path, HERE, trial=TRIAL.model_copy(update={"seed": 5}))
    with pytest.raises(ValueError, match="holds a checkpoint of trial"):
        resumption.find(tmp_path, TRIAL, CPU, HERE)
    (tmp_path / FILE).write_bytes(b"damaged")
    found = resumption.find(tmp_path, TRIAL, CPU, HERE)
    assert found.state is None
    assert found.provenance()["checkpoint"].endswith("is cut short; the trial was restarted")
    assert resumption.find(tmp_path / "none", TRIAL, CPU, HERE).provenance() == {}
