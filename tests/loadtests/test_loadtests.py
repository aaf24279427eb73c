"""The load tests work: three users for three seconds, directly and through a gateway."""

from __future__ import annotations

import json

import pytest

from loadtests.__main__ import main, table
from loadtests.config import LoadConfig
from loadtests.run import LoadFailed, quantile, read, run
from loadtests.stage import Way


@pytest.mark.timeout(180)
@pytest.mark.parametrize("target", ["postgres", "admin-sqlite"])
def test_users_get_answers_and_the_runner_says_how_fast(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--only", target, "--scenario", "mixed", "--users", "3", "--admin-users", "3", "--seconds", "3"]
    status = main(arguments)
    seen = capsys.readouterr()
    assert status == 0, f"{seen.out}\n{seen.err}"
    totals = [line.split() for line in seen.out.splitlines() if line.startswith("all ")]
    assert len(totals) == (1 if target.startswith("admin") else 2)
    for _, count, failed, rate, volume, *quantiles in totals:
        assert int(count) > 5
        assert failed == "0"
        assert float(rate) > 0
        assert float(volume) > 0
        figures = [float(figure) for figure in quantiles]
        assert len(figures) == 3
        assert 0 <= figures[0] <= figures[1] <= figures[2], "half a millisecond is shown as 0"


def test_failures_are_counted_and_not_hidden() -> None:
    way = Way("nowhere", {"LOAD_POSTGRES": "host=127.0.0.1 port=1 connect_timeout=2"})
    figures = run("PostgresReads", way, users=1, seconds=1)
    assert figures[-1].failures == figures[-1].requests > 0


def test_a_missing_address_is_a_failure_that_names_the_variable() -> None:
    with pytest.raises(ValueError, match="LOAD_POSTGRES"):
        LoadConfig.read({}).needed("postgres")


def test_an_unknown_scenario_measures_nothing_and_says_so() -> None:
    with pytest.raises(LoadFailed, match="NoSuchScenario"):
        run("NoSuchScenario", Way("direct", {}), users=1, seconds=1)


@pytest.mark.parametrize("arguments", [["--users", "501"], ["--seconds", "0"], ["--only", "oracle"]])
def test_load_is_bounded(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


def test_figures_are_quantiles_of_all_times() -> None:
    times = {"1": 90, "10": 8, "200": 2}
    entry = {"name": "x", "num_requests": 100, "num_failures": 1, "response_times": times, "total_content_length": 50}
    every = read(json.dumps([{**entry, "start_time": 0.0, "last_request_timestamp": 10.0}]))
    total = every[-1]
    assert (total.p50, total.p95, total.p99) == (1.0, 10.0, 200.0)
    assert (total.per_second, total.volume_per_second, total.failures) == (10.0, 5.0, 1)
    assert "200" in table(every)
    assert quantile([], 0.5) != quantile([], 0.5), "nothing has no quantile"
