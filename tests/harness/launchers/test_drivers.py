"""Several ``harness run`` at once on one results folder, in real processes."""

import psutil
import pytest
from support.faulty_plugin import install
from support.whole_runs import benchmark, end, midway, reproducible_part, rows, run, start

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    return install(tmp_path_factory.mktemp("site"))


def seeded(folder, name="mine.toml", labels=("a", "b"), seeds=(0, 1, 2)):
    slow = '{{model = "steady", label = "{}", settings = {{step_seconds = 0.05}}}}'
    models = ", ".join(slow.format(label) for label in labels)
    return benchmark(folder, models, "60 steps", f"seeds = {list(seeds)}", name=name)


def rows_by_seed(folder):
    return rows(folder, lambda row: row["label"] + str(row["seed"]))


def begun_by(driver):
    lines = driver.stdout.splitlines()
    return [line.split(None, 1)[1] for line in lines if line.startswith("started")]


def seen_by(driver):
    return sum(line.startswith("[") for line in driver.stdout.splitlines())


@pytest.mark.parametrize("drivers", [2, 3])
def test_each_trial_runs_once_and_every_driver_ends_with_the_full_report(
    tmp_path, environment, drivers
):
    path = seeded(tmp_path)
    running = [start(path, environment) for _ in range(drivers)]
    ends = [end(driver) for driver in running]
    assert [ended.returncode for ended in ends] == [0] * drivers, ends
    found = rows_by_seed(tmp_path)
    assert sorted(found) == ["a0", "a1", "a2", "b0", "b1", "b2"]
    assert {row["status"] for row in found.values()} == {"ok"}
    assert {row["usage"]["starts"] for row in found.values()} == {1}
    begun = [title for ended in ends for title in begun_by(ended)]
    assert len(begun) == len(set(begun)) == 6
    assert all(begun_by(ended) for ended in ends), "one did everything"
    for ended in ends:
        assert seen_by(ended) == 6 or f"{6 - seen_by(ended)} done before" in ended.stdout
        assert "leaderboard.md" in ended.stdout
    assert "6 trials, 6 done before" in run(path, environment).stdout


def test_the_others_finish_what_a_killed_driver_leaves_bit_for_bit(tmp_path, environment):
    for name in ("straight", "broken"):
        (tmp_path / name).mkdir()
    assert run(seeded(tmp_path / "straight"), environment).returncode == 0
    folder = tmp_path / "broken"
    path = seeded(folder)
    running = [start(path, environment) for _ in range(3)]
    victim = next(
        driver
        for worker in midway(folder, running[0])
        for driver in running
        if driver.pid in _ancestors(worker)
    )
    workers = psutil.Process(victim.pid).children(recursive=True)
    victim.kill()
    victim.communicate()
    ends = [end(driver) for driver in running if driver is not victim]
    assert [ended.returncode for ended in ends] == [0, 0], ends
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert not alive
    found, expected = rows_by_seed(folder), rows_by_seed(tmp_path / "straight")
    assert {key: reproducible_part(row) for key, row in found.items()} == {
        key: reproducible_part(row) for key, row in expected.items()
    }
    assert max(row["usage"]["starts"] for row in found.values()) == 2


def _ancestors(worker):
    try:
        return {parent.pid for parent in psutil.Process(worker).parents()}
    except psutil.Error:
        return set()


def test_benchmarks_that_overlap_share_what_they_have_in_common(tmp_path, environment):
    one = seeded(tmp_path, "one.toml", labels=("a", "b"), seeds=(0, 1))
    two = seeded(tmp_path, "two.toml", labels=("b", "c"), seeds=(0, 1))
    running = [start(path, environment) for path in (one, two)]
    ends = [end(driver) for driver in running]
    assert [ended.returncode for ended in ends] == [0, 0], ends
    begun = [title for ended in ends for title in begun_by(ended)]
    assert len(begun) == len(set(begun)) == 6
    assert sorted(rows_by_seed(tmp_path)) == ["a0", "a1", "b0", "b1", "c0", "c1"]
    for ended in ends:
        assert seen_by(ended) == 4 or f"{4 - seen_by(ended)} done before" in ended.stdout
