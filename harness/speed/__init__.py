"""How fast models sample: ``harness speed MODEL...``, and a suite for pytest-benchmark.

``pytest --pyargs harness.speed --model ddpm --benchmark-json out.json`` times the same function on
any installed model; ``harness.speed.frame.read_benchmarks`` gives its JSON the columns that
``harness speed`` has, and ``--benchmark-compare`` is pytest-benchmark's own.

Models are untrained: sampling does the same work whatever the weights are.
"""
