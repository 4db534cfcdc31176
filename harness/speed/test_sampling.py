"""Time of a batch for each installed model; see ``harness.speed``."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import pytest

BATCH_SIZES = (1, 64)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Time every model asked for, or else every one installed, at every batch size."""
    from harness.errors import UserError
    from harness.plugins.registry import registry

    options = metafunc.config.option
    try:
        asked_for = [registry().model(name).info.name for name in options.model]
    except UserError as error:
        raise pytest.Collector.CollectError(str(error)) from None
    metafunc.parametrize("model", asked_for or sorted(registry().models))
    metafunc.parametrize("batch_size", options.batch_size or BATCH_SIZES)


@lru_cache(maxsize=1)
def _subject(model: str, dataset: str, device: str) -> tuple[Any, dict[str, Any]]:
    """Return the sampler of a model, and what it costs; the last one is kept."""
    import torch

    from harness.plugins.registry import registry
    from harness.speed.frame import costs
    from harness.speed.subject import parameters, untrained_sampler

    sampler = untrained_sampler(registry(), model, dataset, torch.device(device))
    return sampler, costs(sampler.cost()) | {"parameters": parameters(sampler)}


def test_sampling(benchmark: Any, model: str, batch_size: int, pytestconfig: pytest.Config) -> None:
    """Draw one batch repeatedly, after one untimed call."""
    import torch

    from harness.errors import UserError
    from harness.speed.subject import draw

    options = pytestconfig.option
    try:
        sampler, columns = _subject(model, options.dataset, options.device)
    except UserError as error:
        pytest.skip(str(error))
    draw(sampler, batch_size)
    benchmark.group = f"{options.dataset}, batches of {batch_size}"
    benchmark.extra_info |= {"model": model, "dataset": options.dataset, **columns}
    benchmark.extra_info |= {"device": options.device, "batch_size": batch_size}
    benchmark.extra_info |= {"threads": torch.get_num_threads()}
    benchmark(draw, sampler, batch_size)
