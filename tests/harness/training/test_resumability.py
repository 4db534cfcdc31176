"""A checkpoint that saves and would not load is refused, with the place and the reason."""

import numpy as np
import pytest
import torch
from support.broken_models import (
    GrowingBank,
    LateBuffer,
    LateModule,
    NumpyBetas,
    NumpyRate,
    OddState,
    Table,
    keeping,
)
from support.prepared import prepared, trained

from harness.training.averaging import WeightAverage
from harness.training.resumability import CheckpointVerifier, training_state

ASKED = "the contract asks for tensors, numbers and text"
BUILT = "would not load into the model as __init__ builds it"


class WithoutSetter(Table):
    def get_extra_state(self):
        return 3


@pytest.mark.parametrize(
    ("model_class", "message"),
    [
        (GrowingBank, rf"{BUILT}: .*size mismatch for bank"),
        (LateBuffer, rf"{BUILT}: .*\"scale\""),
        (LateModule, rf"{BUILT}: .*\"extra.weight\""),
        (WithoutSetter, rf"{BUILT}: .*_extra_state"),
        (
            keeping({"history": np.zeros(3), "config": Table.Config()}),
            rf"model\['_extra_state'\]\['history'\] is a ndarray; {ASKED}",
        ),
        (keeping(Table.Config()), rf"model\['_extra_state'\] is a Config; {ASKED}"),
        (keeping([1, lambda step: 0.5]), rf"model\['_extra_state'\]\[1\] is a function; {ASKED}"),
        (keeping({"seen": {np.datetime64("2020")}}), rf"\['seen'\].* is a datetime64; {ASKED}"),
    ],
)
def test_a_checkpoint_that_would_not_load_is_refused_before_training(
    model_class, message, tmp_path
):
    with pytest.raises(Exception, match=message):
        prepared(model_class, tmp_path)


def test_one_that_would_not_load_later_is_refused_at_its_first_save(tmp_path):
    class Late(LateBuffer):
        steps = 20

    run, training = prepared(Late, tmp_path, budget="30 steps")
    training.run_window(1.0, 600)
    with pytest.raises(Exception, match=rf"{BUILT}: .*\"scale\""):
        run._save(training)
    assert not (tmp_path / "checkpoint.pt").exists()


@pytest.mark.parametrize("model_class", [NumpyRate, NumpyBetas, keeping({"n": (np.int64(3),)})])
def test_scalars_of_numpy_are_saved_as_numbers_and_a_trial_resumes(model_class, tmp_path):
    run, training = prepared(model_class, tmp_path, budget="6 steps")
    training.run_window(0.5, 60)
    run._save(training)
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert type(saved["optimizers"]["adam"]["param_groups"][0]["lr"]) is float
    if model_class is not NumpyRate:
        assert type(saved["optimizers"]["adam"]["param_groups"][0]["betas"][0]) is float
    _, resumed = prepared(model_class, tmp_path, budget="6 steps")
    assert resumed.ledger.steps == 3
    resumed.run_window(1.0, 60)
    straight = trained(model_class, tmp_path / "straight", budget="6 steps")
    assert torch.equal(resumed.model.network.weight, straight.model.network.weight)


def test_each_structure_is_loaded_back_once():
    built = []

    def build():
        model = keeping([])(*Table_arguments())
        built.append(model)
        return model, WeightAverage(model, 1e3)

    model, average = build()
    verifier = CheckpointVerifier(build)
    for odd in ([], [1.0], [1.0, 2.0], {"more": 1}):
        model.odd = odd
        verifier.verify(training_state(model, average))
        verifier.verify(training_state(model, average))
    # A history of numbers that grows is what it was; the first, empty one has no numbers.
    assert len(built) == 1 + 3


def Table_arguments():
    from support.toys import SPEC

    return SPEC, Table.Config()


def test_memory_that_runs_out_in_loading_back_costs_nothing(caplog):
    def build():
        raise torch.OutOfMemoryError("CUDA out of memory")

    model = OddState(*Table_arguments())
    model.odd = 1
    CheckpointVerifier(build).verify(training_state(model, WeightAverage(model, 1e3)))
    assert "for lack of memory" in caplog.text
