"""Training on several devices computes what training on one does, and ends with it."""

import os
import signal

import psutil
import pytest
import torch
import torch.nn.functional as F
from support.faulty_plugin import install
from support.replicated import Case, alone, together
from support.whole_runs import benchmark, end, rows, start, wait_for

from harness import api
from harness.errors import UserError
from harness.training.parallel.noise import WholeBatchNoise

EXACT = {
    "regressor": Case("support.toys:Regressor"),
    "penalised": Case("support.replicated:Penalised"),
    "vae": Case("harness_autoencoders.vae:VAE", {"width": 4, "latent": 4}),
    "realnvp": Case("harness_flow.realnvp:RealNVP", {"width": 4}),
    "dcgan": Case("harness_gan.dcgan:DCGAN", {"width": 4, "latent": 8}),
    "sngan": Case(
        "harness_gan.sngan:SNGAN",
        {"generator_width": 4, "discriminator_width": 4, "latent": 8, "n_critic": 2},
    ),
}
# Its last layer starts at zero, so that Adam divides rounding by rounding for some steps.
ROUGH = {"ddpm": Case("harness_diffusion.ddpm:DDPM", {"channels": 8, "dropout": 0.1})}
RESUMED = {
    "half": Case("support.replicated:Penalised", stop=0.5),
    "resumed": Case("support.replicated:Penalised", after="half"),
}
REFUSED = {"codebook": Case("support.replicated:Codebook")}


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """What each of two processes finds."""
    return together(2, tmp_path_factory.mktemp("two"), EXACT | ROUGH | RESUMED | REFUSED)


@pytest.fixture(scope="module")
def one():
    return alone(EXACT | ROUGH)


@pytest.mark.parametrize("name", [*EXACT, *ROUGH])
def test_two_processes_have_the_loss_curve_of_one(name, one, two):
    expected, found = one[name]["losses"], two[0][name]["losses"]
    assert len(expected) == len(found) == 12
    tolerance = 2e-5 if name in EXACT else 2e-3
    for step, (a, b) in enumerate(zip(expected, found, strict=True)):
        assert b == pytest.approx(a, rel=tolerance, abs=1e-6), f"step {step}"
    # A loss that does not move would prove nothing.
    assert expected[0] != pytest.approx(expected[-1], rel=10 * tolerance)


@pytest.mark.parametrize("name", [*EXACT, *ROUGH])
def test_processes_stay_equal_bit_by_bit(name, two):
    for kind in ("model", "average"):
        states = [found[name]["state"][kind] for found in two]
        for key, value in states[0].items():
            if isinstance(value, torch.Tensor):
                assert torch.equal(value, states[1][key]), key


def test_use_is_that_of_all_processes(one, two):
    for name in EXACT:
        single, double = one[name]["usage"], two[0][name]["usage"]
        for currency in ("images", "steps", "batches", "uncounted"):
            assert single[currency] == double[currency]
        # The singular vectors of SNGAN are followed on each device.
        assert double["flops"] == pytest.approx(single["flops"], rel=0.01 if name == "sngan" else 0)
        assert (single["devices"], double["devices"]) == (1, 2)


def test_a_resumed_run_is_bitwise_the_uninterrupted_one(two):
    for rank in range(2):
        straight, resumed = two[rank]["penalised"], two[rank]["resumed"]
        assert resumed["losses"] == straight["losses"][6:]
        for key, value in straight["state"]["model"].items():
            if isinstance(value, torch.Tensor):
                assert torch.equal(value, resumed["state"]["model"][key])


def test_a_model_that_learns_otherwise_than_by_gradients_is_refused_in_all_processes(two):
    for found in two:
        assert "'codebook' is no longer the same on all 2 devices" in found["codebook"]["error"]


DRAWS = {
    "rand": lambda x: torch.rand(len(x), 3),
    "rand of a tuple": lambda x: torch.rand((len(x), 3), dtype=torch.float64),
    "randn by keyword": lambda x: torch.randn(size=(len(x),)),
    "randn_like": torch.randn_like,
    "randint": lambda x: torch.randint(1, 9, (len(x),)),
    "normal": lambda x: torch.normal(x, 1.0),
    "normal_": lambda x: torch.empty_like(x).normal_(),
    "bernoulli": lambda x: torch.bernoulli(x.sigmoid()),
    "multinomial": lambda x: torch.multinomial(x.softmax(1), 2),
    "dropout": lambda x: F.dropout(x),
    "gumbel_softmax": lambda x: F.gumbel_softmax(x),
    "distribution": lambda x: torch.distributions.Normal(x, 1.0).rsample(),
    "module": torch.nn.Dropout(0.5),
}


@pytest.mark.parametrize("name", DRAWS)
def test_each_device_draws_its_rows_of_the_noise_of_the_batch(name):
    draw = DRAWS[name]
    x = torch.arange(24.0).view(8, 3).div(24) + 0.1

    def drawn(part, *mode):
        torch.manual_seed(1)
        if not mode:
            return draw(part), torch.rand(())
        with WholeBatchNoise(*mode):
            return draw(part), torch.rand(())

    whole, coin = drawn(x)
    parts = [drawn(x[rank * 2 : rank * 2 + 2], 2, rank, 4) for rank in range(4)]
    torch.testing.assert_close(torch.cat([part for part, _ in parts]), whole)
    # What follows is drawn as on one device.
    assert all(other == coin for _, other in parts)


def test_a_choice_among_the_images_of_a_device_stays_among_them():
    with WholeBatchNoise(4, 1, 2):
        assert torch.multinomial(torch.ones(4), 4).sort().values.tolist() == [0, 1, 2, 3]
        assert torch.rand(8, 3).shape == (8, 3)


def test_gradients_pass_through_dropout():
    x = torch.ones(2, 5, requires_grad=True)
    with WholeBatchNoise(2, 1, 2):
        y = F.dropout(x, 0.4)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())


def on_devices(folder, model, extra="devices_per_trial = 2"):
    return benchmark(folder, model, "60 steps", extra)


@pytest.mark.parametrize(("devices", "size"), [(3, 8), (8, 8)])
def test_batches_must_divide_by_the_devices(tmp_path, devices, size):
    model = f'{{model = "vae", settings.batch_size = {size}}}'
    path = on_devices(tmp_path, model, f"devices_per_trial = {devices}")
    with pytest.raises(UserError, match=r"settings \(vae\)\.batch_size: 8 images do not divide"):
        api.plan(str(path), tmp_path)


def test_devices_are_part_of_the_identity_where_there_are_several(tmp_path):
    ids = [
        api.plan(str(on_devices(tmp_path, '"vae"', extra)), tmp_path).trials[0].id
        for extra in ("devices_per_trial = 2", "", "devices_per_trial = 1")
    ]
    assert ids[0] != ids[1] == ids[2]


def go(folder, environment, step_seconds):
    steady = f'{{model = "steady", settings = {{batch_size = 32, step_seconds = {step_seconds}}}}}'
    return start(on_devices(folder, steady), environment, "--workers", "2")


def followers():
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if "harness.worker.follower" in (process.info["cmdline"] or [])
    ]


@pytest.mark.slow
def test_a_killed_process_ends_the_trial_in_one_row_and_it_resumes_bitwise(tmp_path):
    environment = install(tmp_path / "site")
    (tmp_path / "straight").mkdir()
    straight = go(tmp_path / "straight", environment, 0.0)
    assert (ended := end(straight)).returncode == 0, ended.stderr
    (tmp_path / "killed").mkdir()
    killed = go(tmp_path / "killed", environment, 0.2)
    folder = tmp_path / "killed"
    wait_for(folder, "checkpoint*", killed)
    mine = [f for f in followers() if str(folder) in " ".join(f.info["cmdline"])]
    assert len(mine) == 1
    os.kill(mine[0].pid, signal.SIGKILL)
    assert end(killed).returncode == 1
    row = rows(folder)["steady"]
    assert row["status"] == "killed"
    assert "process 2 of 2 was killed" in row["reason"]
    assert row["usage"]["devices"] == 2
    assert not [f for f in followers() if str(folder) in " ".join(f.info["cmdline"])]
    resumed = go(folder, environment, 0.2)
    assert (ended := end(resumed)).returncode == 0, ended.stderr
    first, second = (rows(place)["steady"] for place in (tmp_path / "straight", folder))
    assert (second["status"], second["usage"]["starts"]) == ("ok", 2)
    assert first["digests"] == second["digests"]
    assert first["usage"]["flops"] == second["usage"]["flops"]
    for name in ("images", "steps", "batches"):
        assert first["usage"][name] == second["usage"][name]


@pytest.mark.slow
def test_a_killed_worker_takes_the_others_along(tmp_path):
    environment = install(tmp_path / "site")
    driver = go(tmp_path, environment, 0.2)
    wait_for(tmp_path, "checkpoint*", driver)
    (follower,) = [f for f in followers() if str(tmp_path) in " ".join(f.info["cmdline"])]
    os.kill(follower.ppid(), signal.SIGKILL)
    assert end(driver).returncode == 1
    assert rows(tmp_path)["steady"]["status"] == "killed"
    assert not follower.is_running() or follower.status() == psutil.STATUS_ZOMBIE
