"""A load above what the generator can send is refused, with the number of shards that would do."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from perfkit.errors import UsageError
from perfkit.plan import Trial, build
from perfkit.runner.ceiling import (
    CEILING,
    peak_per_s,
    refuse_above_ceiling,
    sender_versions,
    shards_for,
)
from perfkit.store.ceiling import Ceiling, keep_ceiling
from perfkit.telemetry.facts import HostFacts

rates = st.floats(0.001, 1e7)


def keep(results: Path, per_core: float, versions: dict[str, str] | None = None) -> None:
    keep_ceiling(
        results,
        HostFacts.read().fingerprint,
        Ceiling(
            requests_per_s_per_core=per_core,
            connections=64,
            at_ns=0,
            date="",
            versions=sender_versions() if versions is None else versions,
        ),
    )


def trials(**values: Any) -> list[Trial]:
    return list(build(["smoke"], values={"load.shards": 1, **values}).trials)


@given(rates, rates)
def test_the_shards_that_would_do_are_the_fewest_with_a_fifth_to_spare(
    rate: float, ceiling: float
) -> None:
    assume(rate / ceiling < 1e6)
    shards = shards_for(rate, ceiling)
    room = 0.8 * ceiling
    assert shards >= 1
    assert rate <= room * shards * (1 + 1e-9)
    assert shards == 1 or rate > room * (shards - 1) * (1 - 1e-9)


@pytest.mark.parametrize(("rate", "is_refused"), [(999.0, False), (1000.0, False), (1001.0, True)])
def test_what_is_above_the_kept_ceiling_is_refused(
    tmp_path: Path, rate: float, is_refused: bool
) -> None:
    keep(tmp_path, 1000.0)
    asked = trials(**{"load.rate": rate})
    if not is_refused:
        refuse_above_ceiling(asked, tmp_path)
        return
    with pytest.raises(UsageError) as caught:
        refuse_above_ceiling(asked, tmp_path)
    assert "--shards 2" in caught.value.mend
    refuse_above_ceiling(trials(**{"load.rate": rate, "load.shards": 2}), tmp_path)


def test_the_highest_level_of_all_phases_counts(tmp_path: Path) -> None:
    keep(tmp_path, 1000.0)
    spike = list(build(["spike-open"], values={"load.shards": 1}).trials)
    peak = spike[0].scenario.peak
    keep(tmp_path, peak - 1)
    with pytest.raises(UsageError, match="spike-open"):
        refuse_above_ceiling(spike, tmp_path)
    keep(tmp_path, peak)
    refuse_above_ceiling(spike, tmp_path)


def test_more_shards_than_cores_is_said_to_be_of_no_use(tmp_path: Path) -> None:
    keep(tmp_path, 1.0)
    with pytest.raises(UsageError) as caught:
        refuse_above_ceiling(trials(**{"load.rate": 100_000.0}), tmp_path)
    assert "measure on a larger one" in caught.value.mend


def test_a_machine_that_was_not_calibrated_refuses_nothing(tmp_path: Path) -> None:
    refuse_above_ceiling(trials(**{"load.rate": 1e6}), tmp_path)


def test_a_ceiling_of_other_versions_refuses_nothing(tmp_path: Path) -> None:
    keep(tmp_path, 1.0, versions={"perfkit": "0.0.1"})
    refuse_above_ceiling(trials(**{"load.rate": 1e6}), tmp_path)


def test_who_knows_better_may_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(tmp_path, 1.0)
    asked = trials(**{"load.rate": 500.0})
    monkeypatch.setenv(CEILING, "off")
    refuse_above_ceiling(asked, tmp_path)
    monkeypatch.setenv(CEILING, "500")
    refuse_above_ceiling(asked, tmp_path)
    monkeypatch.setenv(CEILING, "499")
    with pytest.raises(UsageError, match="500/s"):
        refuse_above_ceiling(asked, tmp_path)


@pytest.mark.parametrize("said", ["many", "0", "-5", "nan", "inf", "OFF!"])
def test_a_ceiling_that_is_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    monkeypatch.setenv(CEILING, said)
    with pytest.raises(UsageError, match=CEILING):
        refuse_above_ceiling(trials(), tmp_path)


def test_users_are_judged_by_the_most_they_could_send() -> None:
    closed = build(["light"], values={"load.users": 600}).trials[0].scenario
    assert peak_per_s(closed) == pytest.approx(600 / (closed.load.think.mean_ns / 1e9))


def test_users_without_think_time_are_not_judged() -> None:
    values: dict[str, Any] = {"load.think": {"dist": "constant", "low": "0s"}}
    assert peak_per_s(build(["light"], values=values).trials[0].scenario) is None


def test_an_open_model_is_judged_by_its_rate() -> None:
    rate = peak_per_s(trials(**{"load.rate": 321.0})[0].scenario)
    assert rate is not None
    assert math.isclose(rate, 321.0)
