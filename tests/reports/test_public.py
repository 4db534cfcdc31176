import subprocess
import sys

from support.rows import make_row

from harness_reports.leaderboard import leaderboard


def test_the_leaderboard_of_rows_is_a_frame():
    frame = leaderboard([make_row(fid=3.0 + seed / 10, seed=seed) for seed in range(3)])
    assert frame["FID low"].item() < 3.1 < frame["FID high"].item()
    assert frame["FID basis"].item() == "seeds"


def test_statistics_need_no_torch():
    modules = "leaderboard compare statistics.ranks statistics.anytime statistics.pareto".split()
    imports = "; ".join(f"import harness_reports.{module}" for module in modules)
    code = f"import sys; {imports}; print([m for m in ('torch', 'mlflow') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
