"""A model that breaks the contract by a type is refused before training, by method and type."""

import random

import numpy as np
import pytest
import torch
from support.broken_models import (
    Counting,
    Lazy,
    Table,
    WithoutOptimizers,
    building,
    having,
    returning,
)
from support.prepared import prepared, trained
from torch import nn

from harness.contract import LogLikelihood
from harness.measurement.evaluation_cost import FREE
from harness.measurement.outlook import Costs
from harness.worker.failure import diagnose

DICT = "the contract asks for a dict of scalar tensors"
IMAGES = r"the contract asks for torch.uint8 \(2, 1, 2, 2\)"
OPTIMIZERS = "the contract asks for a dict of torch optimizers by name"


def exact(nats):
    return LogLikelihood(nats, "exact")


RETURNED = [
    ("training_step", lambda r: {"nats": float(r["nats"])}, f"a float as the loss 'nats'; {DICT}"),
    ("training_step", lambda r: None, f"training_step returned None; {DICT}"),
    ("training_step", lambda r: r["nats"], rf"returned a tensor torch.float32 \(\); {DICT}"),
    ("training_step", lambda r: {"nats": r["nats"].expand(8)}, r"float32 \(8,\) as the loss"),
    ("training_step", lambda r: [r], f"training_step returned a list; {DICT}"),
    ("training_step", lambda r: {0: r["nats"]}, f"returned the key 0; {DICT} by name"),
    ("training_step", lambda r: {"nats": None}, f"None as the loss 'nats'; {DICT}"),
    ("training_step", lambda r: {"nats": r["nats"] * 1j}, "complex64"),
    ("sample", list, rf"sample\(2\) returned a list; {IMAGES}"),
    ("sample", lambda x: None, rf"sample\(2\) returned None; {IMAGES}"),
    ("sample", lambda x: (x, None), rf"sample\(2\) returned a tuple; {IMAGES}"),
    ("sample", lambda x: x.numpy(), rf"sample\(2\) returned a ndarray; {IMAGES}"),
    ("sample", lambda x: x.float(), rf"returned torch.float32 \(2, 1, 2, 2\); {IMAGES}"),
    ("sample", lambda x: x.flatten(1), rf"returned torch.uint8 \(2, 4\); {IMAGES}"),
    ("log_likelihood", lambda r: exact(r.nats.tolist()), "nats that are a list; the contract asks"),
    ("log_likelihood", lambda r: r.nats, r"returned a tensor .* asks for a .*LogLikelihood"),
    ("log_likelihood", tuple, "log_likelihood returned a tuple; the contract asks for"),
    ("log_likelihood", lambda r: exact(r.nats.mean()), r"nats of shape \(\), not \(2,\)"),
    ("log_likelihood", lambda r: exact(r.nats.long()), "nats that are a tensor torch.int64"),
    ("log_likelihood", lambda r: r._replace(kind="sure"), "of kind 'sure': not exact, lower_bound"),
    (
        "log_likelihood",
        lambda r: r._replace(k=2.5),
        "k = 2.5; the contract asks for a whole number",
    ),
]


@pytest.mark.parametrize(("method", "change", "message"), RETURNED)
def test_what_a_method_returns_is_held_to_the_contract_before_training(
    method, change, message, tmp_path
):
    with pytest.raises(Exception, match=message) as caught:
        prepared(returning(method, change), tmp_path)
    status, reason = diagnose(caught.value, torch.device("cpu"), tmp_path)
    assert status == "error"
    assert reason == str(caught.value), "the sentence alone, without a line of the harness"


LATENT = {
    "sample_prior": lambda self, n: torch.zeros(n, 3),
    "decode": lambda self, z: self.sample(len(z)),
}


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        (
            LATENT | {"sample_prior": lambda self, n: [0.0] * n},
            r"sample_prior\(2\) returned a list; .*\(2, ...",
        ),
        (
            LATENT | {"decode": lambda self, z: z},
            r"decode\(sample_prior\(2\)\) returned torch.float32",
        ),
        ({"encode": lambda self, x: (x, x)}, "encode returned a tuple; .* tensor of 2 latent"),
        ({"encode": lambda self, x: x[:1].float()}, r"encode returned a tensor .*\(1, 1, 2, 2\)"),
    ],
)
def test_so_is_what_optional_methods_return(attributes, message, tmp_path):
    with pytest.raises(Exception, match=message):
        prepared(having(**attributes), tmp_path)


def strangers(model):
    model.layers = [nn.Linear(2, 2)]
    model.optimizers["more"] = torch.optim.SGD(model.layers[0].parameters(), 0.1)


def scheduled(model):
    adam = model.optimizers["adam"]
    model.optimizers = {"adam": torch.optim.lr_scheduler.LambdaLR(adam, lambda step: 1.0)}


ATTRIBUTES = [
    (building(lambda m: setattr(m, "config", {"hidden": 3})), "config is a dict after __init__"),
    (building(lambda m: setattr(m, "spec", m.spec.shape)), "spec is a tuple after __init__"),
    (WithoutOptimizers, "there is no attribute 'optimizers'"),
    (building(lambda m: setattr(m, "optimizers", [m.optimizers["adam"]])), f"a list; {OPTIMIZERS}"),
    (building(lambda m: m.optimizers.update(more=None)), rf"\['more'\] is None; {OPTIMIZERS}"),
    (building(scheduled), rf"\['adam'\] is a LambdaLR; {OPTIMIZERS}"),
    (building(strangers), r"\['more'\] moves 2 tensors that are not parameters of the model"),
    (building(lambda m: delattr(m, "network")), "there is no attribute 'network'"),
    (having(network=property(lambda self: torch.relu)), "network is a builtin_function_or_method"),
    (Lazy, "network.weight has no shape yet"),
    (building(lambda m: setattr(m, "stages", (("a", 0.5),))), "shares of stages sum to 0.5"),
    (building(lambda m: setattr(m, "period", 0)), "period is 0; the contract asks for a whole"),
    (
        building(lambda m: setattr(m, "sampling_steps", "50")),
        "sampling_steps is '50'; the",
    ),
]


@pytest.mark.parametrize(("model_class", "message"), ATTRIBUTES)
def test_attributes_are_held_to_the_contract_before_training(model_class, message, tmp_path):
    with pytest.raises(Exception, match=message):
        prepared(model_class, tmp_path)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"sample": lambda self, n: None}, r"sample\(self, n\) cannot be called with 2 arguments"),
        ({"training_step": lambda self, batch: {}}, r"asks for training_step\(self, batch"),
        ({"log_likelihood": 3}, "log_likelihood is an int; the contract asks for a method"),
        ({"stages": (("a", 0.4), ("b", 0.4))}, "shares of stages sum to 0.8; .* asks for 1"),
        ({"stages": {"a": 1.0}}, "stages is a dict"),
        ({"stages": (("a", 0.5), ("a", 0.5))}, "one name twice: a, a"),
        ({"stages": (("a", 1.5), ("b", -0.5))}, r"stages holds \('a', 1.5\)"),
        ({"period": 2.0}, "period is 2.0; the contract asks for a whole number"),
    ],
)
def test_a_class_is_held_to_the_contract_before_it_is_built(attributes, message, tmp_path):
    with pytest.raises(Exception, match=rf"model 'toy' of toys 1.0 \(toys:Model\): .*{message}"):
        prepared(having(**attributes), tmp_path)


def test_a_sound_model_is_let_through_and_its_trial_is_not_changed(tmp_path, monkeypatch):
    """The dry run costs no random number, and the trained weights are the same without it."""
    random.seed(3)
    np.random.seed(3)
    expected = random.Random(3).random(), np.random.RandomState(3).random_sample()

    class Noisy(Table):
        def sample(self, n, y=None):
            random.random(), np.random.random_sample()
            return super().sample(n, y)

    with_it = trained(Noisy, tmp_path)
    assert (random.random(), np.random.random_sample()) == expected
    monkeypatch.setattr("harness.worker.warm_up.dry_run", lambda *_, **__: Costs(FREE, FREE))
    without = trained(Noisy, tmp_path / "other")
    assert torch.equal(with_it.model.network.weight, without.model.network.weight)


def test_what_a_model_raises_in_the_dry_run_is_left_to_its_evaluation(tmp_path, caplog):
    def fail(self, *_):
        raise RuntimeError("not before I have learnt something")

    prepared(having(sample=fail, log_likelihood=fail), tmp_path)
    assert "sample raised before training, in a dry run: RuntimeError: not before" in caplog.text


def test_a_loss_that_changes_its_type_later_is_named_too(tmp_path):
    class Later(Table):
        def training_step(self, batch, progress):
            losses = super().training_step(batch, progress)
            return losses if progress < 0.5 else losses["nats"].item()

    with pytest.raises(Exception, match=f"training_step returned a float; {DICT}"):
        trained(Later, tmp_path)


def test_a_model_of_buffers_alone_trains(tmp_path):
    """As many images as it likes; it takes no optimizer step, so these would be no budget."""
    training = trained(Counting, tmp_path, budget="40 images")
    assert training.model.device == torch.device("cpu")
    assert training.model.counts.sum() == (1 * 4 + 40) * 4
