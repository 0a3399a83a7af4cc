"""The speed promises: all of slo.toml can be checked, and a missed one is called missed."""

import pytest

from bench import core, slo
from bench.load.run import CASES, MEASURES, SETUPS, Case, Measured


def measured(ours: list[float], theirs: list[float]) -> Measured:
    def rounds(values: list[float]) -> list[dict]:
        return [{"cpu_us_per_call": value, "latency_us": {}} for value in values]

    return Measured(Case("plain", ("pyproxy", "nginx")), {"pyproxy": rounds(ours), "nginx": rounds(theirs)}, {})


PROMISE = slo.RatioPromise("plain", "plain", "cpu_us_per_call", "pyproxy", "nginx", at_most=1.05, aim=1.0)


def test_every_ratio_promise_names_a_case_that_plays_both_its_setups():
    for promise in slo.read().ratios:
        assert {promise.subject, promise.rival} <= set(CASES[promise.case].setups) <= set(SETUPS), promise.name
        assert promise.measure in MEASURES, promise.name


def test_a_misspelt_promise_is_refused(tmp_path):
    file = tmp_path / "slo.toml"
    file.write_text('short_slack = 1\n[[time]]\nname = "a"\nbench = "b"\nsource = "core"\nat_most_ms = 1\n')
    with pytest.raises(ValueError, match="unknown key `at_most_ms`"):
        slo.read(file)


def test_a_promise_without_a_bound_is_refused(tmp_path):
    file = tmp_path / "slo.toml"
    file.write_text('short_slack = 1\n[[time]]\nname = "a"\nbench = "b"\nsource = "core"\n')
    with pytest.raises(ValueError, match="at_most_us"):
        slo.read(file)


def test_a_ratio_above_its_bound_is_missed_and_within_it_kept():
    assert not slo.judge_ratio(PROMISE, measured([11.5] * 7, [10.0] * 7)).kept
    assert slo.judge_ratio(PROMISE, measured([10.4] * 7, [10.0] * 7)).kept


def test_the_short_form_has_slack():
    results = measured([12.0] * 5, [10.0] * 5)
    assert not slo.judge_ratio(PROMISE, results).kept
    assert slo.judge_ratio(PROMISE, results, slack=1.25).kept


def test_a_benchmark_that_did_not_run_is_a_promise_missed():
    promise = slo.TimePromise("verify", "gates::verify", at_most_us=2.0, source="core")
    assert not slo.judge_time(promise, {}).kept
    assert not slo.judge_time(promise, {"gates::verify": 2.1}).kept
    assert slo.judge_time(promise, {"gates::verify": 1.9}).kept


DIVAN = """\
Timer precision: 12 ns
gates              fastest       │ slowest       │ median        │ mean          │ samples │ iters
├─ claim                         │               │               │               │         │
│  ├─ 10000        41.2 ns       │ 95 ns         │ 42.5 ns       │ 43 ns         │ 100     │ 6400
│  ╰─ 10000000     141.2 ns      │ 295 ns        │ 142.1 ns      │ 143 ns        │ 100     │ 6400
╰─ verify_hmac     1.199 µs      │ 2.4 µs        │ 1.25 µs       │ 1.3 µs        │ 100     │ 800
"""


def test_medians_are_read_from_the_table_that_divan_prints():
    expected = {"gates::claim::10000": 0.0425, "gates::claim::10000000": 0.1421, "gates::verify_hmac": 1.25}
    assert dict(core.parsed(DIVAN)) == pytest.approx(expected)
