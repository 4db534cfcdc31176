import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from harness.planning.budget import Budget, BudgetError, Currency
from harness.row import Usage

SECONDS, FLOPS, IMAGES, STEPS = Currency


@pytest.mark.parametrize(
    ("text", "amount", "currency"),
    [
        ("90s", 90, SECONDS),
        ("20 device-seconds", 20, SECONDS),
        ("1 device-second", 1, SECONDS),
        ("0.25 sec", 0.25, SECONDS),
        ("10 min", 600, SECONDS),
        ("1.5 Device-Minutes", 90, SECONDS),
        ("2 h", 7200, SECONDS),
        ("2hours", 7200, SECONDS),
        ("1 day", 86400, SECONDS),
        ("2 ks", 2000, SECONDS),
        ("7 FLOP", 7, FLOPS),
        ("2 PFLOP", 2e15, FLOPS),
        ("2pflops", 2e15, FLOPS),
        ("1e15 FLOPs", 1e15, FLOPS),
        ("3.5e-1 TFLOP", 3.5e11, FLOPS),
        ("4 GFLOP", 4e9, FLOPS),
        ("5 MFLOP", 5e6, FLOPS),
        ("6 EFLOP", 6e18, FLOPS),
        ("300k images", 300_000, IMAGES),
        ("300 K images", 300_000, IMAGES),
        ("1.5M images", 1_500_000, IMAGES),
        ("2.3M images", 2_300_000, IMAGES),
        ("200 kimg", 200_000, IMAGES),
        ("60_000 images", 60_000, IMAGES),
        ("5k steps", 5000, STEPS),
        ("1 step", 1, STEPS),
        (" +12  optimizer   steps ", 12, STEPS),
    ],
)
def test_reads(text, amount, currency):
    assert Budget.parse(text) == Budget(amount, currency)


@pytest.mark.parametrize(
    ("budget", "text"),
    [
        (Budget(90, SECONDS), "90 device-seconds"),
        (Budget(1, SECONDS), "1 device-second"),
        (Budget(2e15, FLOPS), "2 PFLOP"),
        (Budget(999, FLOPS), "999 FLOP"),
        (Budget(2e22, FLOPS), "20000 EFLOP"),
        (Budget(300_000, IMAGES), "300k images"),
        (Budget(59_904, IMAGES), "59.904k images"),
        (Budget(1, STEPS), "1 step"),
        (Budget(1000, STEPS), "1k steps"),
    ],
)
def test_writes(budget, text):
    assert str(budget) == text


amounts = st.floats(min_value=0, exclude_min=True, allow_infinity=False)
counts = st.integers(min_value=1, max_value=2**53 - 1).map(float)


@given(
    st.builds(Budget, amounts, st.sampled_from([SECONDS, FLOPS]))
    | st.builds(Budget, counts, st.sampled_from([IMAGES, STEPS]))
)
def test_text_and_back(budget):
    assert Budget.parse(str(budget)) == budget


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "does not begin with a positive number"),
        ("fast", "does not begin with a positive number"),
        ("-5 s", "does not begin with a positive number"),
        ("nan s", "does not begin with a positive number"),
        ("inf s", "does not begin with a positive number"),
        ("0 s", "positive and finite, not 0"),
        ("0.0 PFLOP", "positive and finite, not 0"),
        ("1e400 s", "positive and finite, not inf"),
        ("1e99999999999999999999999 s", "out of range"),
        ("60", "has no unit"),
        ("300k", "has no unit"),
        ("60 sceonds", 'did you mean "seconds"?'),
        ("5k stpes", 'did you mean "steps"?'),
        ("3 imges", 'did you mean "images"?'),
        ("20 device seconds", 'did you mean "device-seconds"?'),
        ("5 xyzzy", "unknown unit 'xyzzy'"),
        ("1e steps", "unknown unit 'e steps'"),
        ("3 kmin", "unknown unit 'kmin'"),
        ("5m", '"M" for a million, "min" for minutes'),
        ("5m steps", '"M" for a million, "min" for minutes'),
        ("1h30min", "one number with one unit"),
        ("20 s or 5k steps", "one number with one unit"),
        ("3 5 steps", "one number with one unit"),
        ("1,000 images", "one number with one unit"),
        ("2 TFLOP/s", "is a rate"),
        ("2 TFLOPs per second", "is a rate"),
        ("2.5 steps", "whole numbers, not 2.5"),
        ("0.5 images", "whole numbers, not 0.5"),
    ],
)
def test_says_what_is_wrong(text, complaint):
    with pytest.raises(BudgetError) as error:
        Budget.parse(text)
    assert complaint in str(error.value)
    assert repr(text) in str(error.value)


@pytest.mark.parametrize("amount", [0, -1, float("nan"), float("inf")])
def test_refuses_amounts(amount):
    with pytest.raises(BudgetError, match="positive and finite"):
        Budget(amount, SECONDS)


USAGE = Usage(seconds=3.0, flops=5e12, images=700, steps=11)


@pytest.mark.parametrize(
    ("currency", "used"), [(SECONDS, 3), (FLOPS, 5e12), (IMAGES, 700), (STEPS, 11)]
)
def test_measures_its_own_currency(currency, used):
    assert Budget(2 * used, currency).used(USAGE) == used
    assert Budget(2 * used, currency).fraction(USAGE) == 0.5
    assert not Budget(used + 1, currency).exhausted(USAGE)
    assert Budget(used, currency).exhausted(USAGE)
    assert Budget(used + 1, currency).overrun(USAGE) == 0


def test_fraction_stops_at_one_and_overrun_is_what_lies_beyond():
    budget = Budget(4, STEPS)
    assert budget.fraction(USAGE) == 1
    assert budget.overrun(USAGE) == 7


class Benchmark(BaseModel):
    budget: Budget


def test_pydantic_reads_and_writes_text():
    benchmark = Benchmark.model_validate({"budget": "10 min"})
    assert benchmark.budget == Budget(600, SECONDS)
    assert benchmark.model_dump_json() == '{"budget":"600 device-seconds"}'
    assert Benchmark.model_validate_json(benchmark.model_dump_json()) == benchmark
    assert Benchmark(budget=Budget(600, SECONDS)) == benchmark


@pytest.mark.parametrize(
    ("value", "complaint"), [("60 stpes", "did you mean"), (60, "text with a unit, not 60")]
)
def test_pydantic_names_the_key(value, complaint):
    with pytest.raises(ValidationError, match=complaint) as error:
        Benchmark.model_validate({"budget": value})
    assert error.value.errors()[0]["loc"] == ("budget",)


def test_imports_no_torch():
    code = "import sys, harness.planning.budget; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
