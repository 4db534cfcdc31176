"""A plugin in a folder of its own, installed by pip, is found with no change to the harness."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pandas as pd
import pytest
from support.distributions import write

PROJECT = {
    "pyproject.toml": """
        [build-system]
        requires = ["hatchling"]
        build-backend = "hatchling.build"

        [project]
        name = "pixel-histogram"
        version = "0.3"

        [project.entry-points.harness]
        histogram = "pixel_histogram"
    """,
    "pixel_histogram/__init__.py": '''
        """Pixels, each with a histogram of its own."""

        from harness.hooks import ModelInfo, hookimpl


        @hookimpl
        def harness_models():
            return [
                ModelInfo(
                    name="pixel-histogram",
                    summary="Independent pixels, each with its histogram.",
                    target="pixel_histogram.model:PixelHistogram",
                    type="histogram",
                )
            ]
    ''',
    "pixel_histogram/model.py": '''
        """log P(x) = sum_d log((n_d[x_d] + alpha) / (N + alpha levels))."""

        from dataclasses import dataclass

        import torch
        from torch import nn

        from harness.contract import GenerativeModel, LogLikelihood, setting


        class Table(nn.Module):
            """Log-probabilities (D, levels) as the logits of a softmax."""

            def __init__(self, dimensions, levels):
                super().__init__()
                self.logits = nn.Parameter(torch.zeros(dimensions, levels))

            def forward(self):
                return self.logits.log_softmax(1)


        class PixelHistogram(GenerativeModel):
            @dataclass(frozen=True)
            class Config:
                batch_size: int = setting(64, "images per step")
                learning_rate: float = setting(0.1, "of Adam")

            def __init__(self, spec, config):
                super().__init__(spec, config)
                self.network = Table(spec.dimensions, spec.levels)
                adam = torch.optim.Adam(self.network.parameters(), config.learning_rate)
                self.optimizers = {"adam": adam}

            def training_step(self, batch, progress):
                adam = self.optimizers["adam"]
                loss = -self.log_likelihood(batch.x).nats.mean()
                adam.zero_grad()
                loss.backward()
                adam.step()
                return {"loss": loss.detach()}

            def sample(self, n, y=None):
                levels = torch.multinomial(self.network().exp(), n, replacement=True)
                return levels.T.reshape(n, *self.spec.shape).to(torch.uint8)

            def log_likelihood(self, x, y=None):
                table = self.network().expand(len(x), -1, -1)
                levels = x.flatten(1).long().unsqueeze(2)
                return LogLikelihood(table.gather(2, levels).sum((1, 2)), "exact")
    ''',
}


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """A folder into which pip has installed the plugin."""
    project, site = tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("site")
    write(project, PROJECT)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--target", str(site)]
    subprocess.run([*pip, *offline, str(project)], check=True)
    return site


def with_plugin(site, *command):
    """Run Python in a process that finds the plugin; return what it printed."""
    environment = os.environ | {"PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
    answer = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, env=environment
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def test_it_is_listed(site):
    code = "import sys; from harness.cli import main; main()"
    output = json.loads(with_plugin(site, "-c", code, "--strict", "list", "models", "--json"))
    [model] = [model for model in output["models"] if model["name"] == "pixel-histogram"]
    assert (model["distribution"], model["version"]) == ("pixel-histogram", "0.3")
    assert model["type"] == "histogram"


LEARN = """
import torch
from harness.contract import Batch, DataSpec, GenerativeModel, HasLikelihood
from harness.plugins.source_files import PluginFiles
from harness.plugins.registry import registry

info = registry().model("pixel-histogram").info
PixelHistogram = registry().load(info)
assert list(PluginFiles(info.target).packages) == ["pixel_histogram"]
spec = DataSpec.images((1, 1, 2), levels=4)
model = PixelHistogram(spec, PixelHistogram.Config())
assert isinstance(model, GenerativeModel) and isinstance(model, HasLikelihood)
# Pixel 0 is 3 in half of the images, else 1; pixel 1 is always 2.
images = torch.tensor([[3, 2], [1, 2]], dtype=torch.uint8).reshape(2, 1, 1, 2)
for _ in range(300):
    model.training_step(Batch(images, None), 0.0)
print(model.log_likelihood(images).nats.exp().tolist())
every = torch.cartesian_prod(torch.arange(4), torch.arange(4)).reshape(16, 1, 1, 2)
print(model.log_likelihood(every.to(torch.uint8)).nats.exp().sum().item())
samples = model.sample(500)
print(samples.shape == (500, 1, 1, 2), samples.dtype == torch.uint8, samples[..., 1].unique())
"""


def test_its_model_learns_a_histogram_through_the_contract(site):
    probabilities, total, samples = with_plugin(site, "-c", LEARN).splitlines()
    assert json.loads(probabilities) == pytest.approx([0.5, 0.5], abs=0.01)
    assert float(total) == pytest.approx(1, abs=1e-5)
    assert samples.startswith("True True")


BENCHMARK = """
name = "mine"
datasets = ["digits"]
models = ["pixel-histogram"]
budget = "300 steps"
[evaluation]
samples = 100
curve = []
speed_batch_sizes = [8]
speed_seconds = 0.05
"""


def test_it_stands_on_a_leaderboard(site, tmp_path):
    (tmp_path / "mine.toml").write_text(BENCHMARK)
    results = str(tmp_path / "results")
    options = ["--results", results, "--tracking", "off", "--threads", "1"]
    output = with_plugin(site, "-m", "harness", "run", str(tmp_path / "mine.toml"), *options)
    own = "| pixel-histogram | histogram"
    [line] = [line for line in output.splitlines() if line.startswith(own)]
    assert line.rstrip("| ").endswith("ok")
    table = tmp_path / "results/mine/report/rows.csv"
    # pandas would take the row called "null" for a missing name.
    frame = pd.read_csv(table, keep_default_na=False, na_values=[""]).set_index("label")
    row = frame.loc["pixel-histogram"]
    assert row["bits_per_dim.kind"] == "exact"
    # The closed form of the same model, by counting: 2.43 bits/dim.
    assert row["bits_per_dim"] == pytest.approx(2.43, abs=0.1)
    assert frame.loc["real", "fid"] < row["fid"] < frame.loc["null", "fid"]
