"""Models of other libraries as plugins: DDPM of diffusers and NSF of zuko, each in its folder."""

import ast
import contextlib
import importlib
import json
import math
import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from torch import nn

from harness.checks import NotApplicable, checks_for
from harness.contract import Batch, DataSpec, HasLatent, HasLikelihood, HasSteps
from harness.errors import UserError
from harness.plugins.registry import registry

HERE = Path(__file__).parent
PROJECTS = {path.parent.name: path.parent for path in sorted(HERE.glob("*/pyproject.toml"))}
DDPM, NSF = "harness_diffusers_ddpm", "harness_zuko_nsf"
SMALL = {DDPM: {}, NSF: {"couplings": 4, "width": 64}}
SPEC = DataSpec.images((1, 8, 8), levels=17, classes=10)


def told_by(monkeypatch, name):
    """Return what the plugin in a folder says of its model."""
    monkeypatch.syspath_prepend(PROJECTS[name])
    [info] = importlib.import_module(name).harness_models()
    return info


def imported(monkeypatch, name):
    """Return the model's class from the plugin's folder; skip where its library is missing."""
    info = told_by(monkeypatch, name)
    try:
        return registry().load(info)
    except UserError as error:
        pytest.skip(str(error))


@pytest.fixture
def build(monkeypatch):
    """Build a plugin's model from its folder."""

    def build(name, spec=SPEC, **settings):
        model_class = imported(monkeypatch, name)
        torch.manual_seed(0)
        return model_class(spec, model_class.Config(**settings))

    return build


@pytest.mark.parametrize("name", PROJECTS)
def test_they_know_the_public_contract_alone(name):
    public = {"harness.contract", "harness.hooks"}
    for path in PROJECTS[name].rglob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
        modules = {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
        modules |= {a.name for node in nodes if isinstance(node, ast.Import) for a in node.names}
        assert {module for module in modules if module.startswith("harness")} <= public, path


@pytest.mark.parametrize("name", PROJECTS)
def test_they_keep_the_contract(monkeypatch, name):
    for check in checks_for(imported(monkeypatch, name)):
        with contextlib.suppress(NotApplicable):
            check.run(SPEC, **SMALL[name])


def test_the_page_shows_them_whole(monkeypatch):
    page = (HERE.parents[1] / "docs/external.md").read_text("utf-8")
    shown = re.findall(r"```(?:python|toml)\n(.*?)```", page, re.DOTALL)
    files = (
        PROJECTS[DDPM] / "pyproject.toml",
        PROJECTS[DDPM] / DDPM / "ddpm.py",
        PROJECTS[NSF] / NSF / "nsf.py",
    )
    assert shown == [path.read_text("utf-8") for path in files]
    [install, run] = re.search(r"```sh\n(.*?)```", page, re.DOTALL)[1].splitlines()
    folders = [path.relative_to(HERE.parents[1]).as_posix() for path in PROJECTS.values()]
    assert install.split() == ["pip", "install", *folders]
    names = [told_by(monkeypatch, name).name for name in PROJECTS]
    assert re.findall(r"--also (\S+)", run) == names


def test_capabilities(build):
    ddpm, nsf = build(DDPM, **SMALL[DDPM]), build(NSF, **SMALL[NSF])
    assert isinstance(ddpm, HasSteps) and not isinstance(ddpm, HasLikelihood)
    assert isinstance(nsf, HasLikelihood) and isinstance(nsf, HasLatent)


class IdealNoise(nn.Module):
    """E[e | x_t] for data N(mean, std^2) in every pixel, in the place and the form of a U-Net."""

    def __init__(self, scheduler, mean, std):
        super().__init__()
        self.one = nn.Parameter(torch.ones(()))
        self.register_buffer("signal", scheduler.alphas_cumprod)
        self.mean, self.std, self.seen = mean, std, []

    @property
    def device(self):
        return self.one.device

    def forward(self, x_t, t):
        self.seen.append(x_t)
        a2 = self.signal[t].view(-1, 1, 1, 1)
        a, s = a2.sqrt(), (1 - a2).sqrt()
        noise = s * (x_t - a * self.mean) / (a2 * self.std**2 + 1 - a2)
        return type("Output", (), {"sample": noise * self.one})


def std_of_samples(std, signal):
    """Run the variance of x_t through the paper's equations 6 and 7, with the ideal x in them.

    Args:
        std: of the data.
        signal: a_t^2 from noise to data, ending at 1.
    """
    variance = 1.0
    for a2, next_a2 in signal.unfold(0, 2, 1).tolist():
        beta, remaining = 1 - a2 / next_a2, (1 - next_a2) / (1 - a2)
        gain = math.sqrt(a2) * std**2 / (a2 * std**2 + 1 - a2)
        data, state = math.sqrt(next_a2) * beta / (1 - a2), math.sqrt(1 - beta) * remaining
        variance = (data * gain + state) ** 2 * variance + remaining * beta
    return math.sqrt(variance)


@pytest.mark.parametrize("steps", [50, 400])
def test_ddpm_samples_the_data_from_the_ideal_denoiser(build, steps):
    model = build(DDPM, DataSpec.images((1, 8, 8)), width=8)
    model.sampling_steps = steps
    model.network = IdealNoise(model.scheduler, mean=0.2, std=0.15)
    with torch.no_grad():
        x = model.sample(256).double() / 127.5 - 1
    signal = torch.cat([model.network.signal[model.scheduler.timesteps], torch.ones(1)])
    noise = model.network.seen[0]
    assert len(model.network.seen) == steps
    assert (noise.mean().item(), noise.std().item()) == pytest.approx((0, 1), abs=0.03)
    assert x.mean().item() == pytest.approx(0.2, abs=0.005)
    assert x.std().item() == pytest.approx(std_of_samples(0.15, signal.double()), abs=0.003)


def test_ddpm_has_the_schedule_of_the_paper(build):
    """Variances rise linearly from 1e-4 to 0.02 in 1000 steps."""
    variances = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    signal = build(DDPM).scheduler.alphas_cumprod
    assert signal.double() == pytest.approx((1 - variances).cumprod(0), rel=1e-4)


def test_ddpm_trains_towards_the_ideal_denoiser(build):
    """At the ideal denoiser the loss is the mean over t of Var(e | x_t)."""
    model = build(DDPM, DataSpec.images((1, 16, 16)), width=8)
    model.network = IdealNoise(model.scheduler, mean=0.2, std=0.15)
    x = 0.2 + 0.15 * torch.randn(512, 1, 16, 16)
    batch = Batch(((x + 1) * 127.5).round().clamp(0, 255).to(torch.uint8), None)
    losses = [model.training_step(batch, 0.0)["loss"].item() for _ in range(20)]
    a2 = model.scheduler.alphas_cumprod
    data = a2 * 0.15**2
    assert sum(losses) / 20 == pytest.approx((data / (data + 1 - a2)).mean().item(), rel=0.03)


def test_nsf_of_identities_is_a_normal_density(build):
    """Splines without parameters are identities: log p = sum_d log N(10 y_d - 5) + log(10 / L).

    For u uniform, x = 10 (i + u) / L - 5 has E x^2 = c^2 + w^2 / 12, with centre c and width w.
    """
    model = build(NSF, **SMALL[NSF], dequantisations=1)
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    levels, width = torch.arange(SPEC.levels), 10 / SPEC.levels
    square = ((levels.double() + 0.5) * width - 5).square() + width**2 / 12
    expected = SPEC.dimensions * (-0.5 * (square + math.log(2 * math.pi)) + math.log(width))
    images = levels.to(torch.uint8).repeat_interleave(512)[:, None, None, None]
    with torch.no_grad():
        likelihood = model.log_likelihood(images.expand(-1, *SPEC.shape))
    assert likelihood.kind == "lower_bound"
    found = likelihood.nats.double().view(SPEC.levels, -1).mean(1)
    assert found == pytest.approx(expected, abs=0.8)


def test_nsf_decodes_what_its_splines_made_of_an_image(build):
    model = build(NSF, **SMALL[NSF])
    images = torch.randint(SPEC.levels, (64, *SPEC.shape), dtype=torch.uint8)
    middle = (images.flatten(1) + 0.5) / SPEC.levels
    with torch.no_grad():
        z = model.network().transform(10 * middle - 5)
        assert not torch.allclose(z, 10 * middle - 5, atol=0.1), "the splines do something"
        assert torch.equal(model.decode(z), images)


BRIEF = """
name = "external"
datasets = ["digits"]
models = ["diffusers-ddpm", "zuko-nsf"]
budget = "20 steps"
references = false
[evaluation]
samples = 50
batch_size = 50
curve = [0.5]
likelihood_images = 20
speed_batch_sizes = [1]
speed_seconds = 0.02
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Install both with pip, and return the environment that finds them and their libraries."""
    for name in PROJECTS:
        imported(monkeypatch, name)
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--target", str(site)]
    subprocess.run([*pip, *offline, *map(str, PROJECTS.values())], check=True)
    paths = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}


@pytest.mark.slow
def test_both_are_rows_of_a_leaderboard(installed, tmp_path):
    (tmp_path / "brief.toml").write_text(BRIEF)
    run = [sys.executable, "-m", "harness", "run", "brief.toml", "--tracking", "off"]
    result = subprocess.run(
        [*run, "--device", "cpu", "--threads", "1"],
        cwd=tmp_path,
        env=installed,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    rows = {
        row["label"]: row
        for path in tmp_path.glob("results/external/trials/*/row.json")
        for row in [json.loads(path.read_text())]
    }
    assert {label: row["status"] for label, row in rows.items()} == {
        "diffusers-ddpm": "ok",
        "zuko-nsf": "ok",
    }
    ddpm, nsf = rows["diffusers-ddpm"], rows["zuko-nsf"]
    assert ddpm["metrics"]["nfe"]["value"] == 50 and nsf["metrics"]["nfe"]["value"] == 1
    assert ddpm["metrics"]["bits_per_dim"]["value"] is None
    assert nsf["metrics"]["bits_per_dim"]["kind"] == "lower_bound"
    assert ddpm["provenance"]["distribution"] == "harness-diffusers-ddpm"
    assert ddpm["provenance"]["libraries"] == f"diffusers {version('diffusers')}"
    assert nsf["provenance"]["libraries"] == f"zuko {version('zuko')}"
    assert all(row["usage"]["flops"] > 0 for row in rows.values())
