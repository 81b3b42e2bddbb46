"""The batch job: parameters checked before anything starts, and an end that is loud."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from perfkit.api import batch, notebook
from perfkit.api.runs import Run
from perfkit.errors import RunInvalid, UsageError
from perfkit.paths import example_data
from tests.examples import example
from tests.sealed import Sketch, request, seal


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Command lines of the processes that would measure."""
    lines: list[list[str]] = []

    async def watched(arguments: list[str], show: object) -> Any:
        lines.append(list(arguments))
        return {"run_dir": str(example_data() / "good")}

    monkeypatch.setattr(notebook, "_watched", watched)
    monkeypatch.setattr(notebook, "_panel", lambda: None)
    return lines


def benchmark(**parameters: Any) -> Run:
    """The notebook's first call."""
    return asyncio.run(batch.benchmark(**parameters))


def test_without_live_nothing_is_launched(measured: list[list[str]]) -> None:
    assert benchmark().manifest["synthetic"] is True
    bad = str(example_data() / "bad")
    assert benchmark(live="false", run_dir=bad).name == "example-bad"
    assert measured == []


def test_parameters_become_one_sweep(measured: list[list[str]]) -> None:
    # "true" is what papermill makes of `-p live true`.
    benchmark(live="true", scenarios="light, heavy", workers="1,2,4", duration="20s", repeat=2)
    [line] = measured
    assert line[:7] == ["sweep", "light", "heavy", "--repeat", "2", "--axis", "workers=1,2,4"]
    assert line[line.index("--set") + 1] == 'duration="20s"'
    assert "--while-stdin" in line


def test_one_number_of_workers_may_be_a_number(measured: list[list[str]]) -> None:
    benchmark(live=True, scenarios="light", workers=4)  # `-p workers 4`
    assert "workers=4" in measured[0]


def test_without_workers_each_scenario_has_its_own(measured: list[list[str]]) -> None:
    benchmark(live=True, scenarios="light", workers="", preset="low-latency", results="/r")
    assert "--axis" not in measured[0]
    assert measured[0][measured[0].index("--results") + 1] == "/r"
    assert 'preset="low-latency"' in measured[0]


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"live": "maybe"}, "live is true or false, not 'maybe'"),
        ({"live": 1}, "live is true or false, not 1"),
        ({"workers": "1,two"}, "each at least 1, not '1,two'"),
        ({"workers": "0"}, "each at least 1, not '0'"),
        ({"workers": True}, "each at least 1, not True"),
        ({"workers": 1.5}, "each at least 1, not 1.5"),
        ({"duration": 20}, 'such as "20s", not 20'),
        ({"duration": "20"}, "such as \"20s\", not '20'"),
        ({"duration": "0s"}, "more than nothing, not '0s'"),
        ({"repeat": 0}, "at least 1, not 0"),
        ({"repeat": True}, "at least 1, not True"),
        ({"scenarios": " , "}, "scenarios names none"),
        ({"scenarios": 3}, "not 3"),
        ({"profile": None}, "profile is text, not None"),
        ({"live": True, "run_dir": "x"}, "give one of them"),
    ],
)
def test_a_wrong_parameter_is_named_before_anything_starts(
    measured: list[list[str]], parameters: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError) as refused:
        benchmark(**{"live": True} | parameters)
    assert said in refused.value.what
    assert "--help-notebook" in refused.value.mend
    assert measured == []


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(UsageError) as refused:
        benchmark(live="maybe", repeat=0, duration=20)
    assert refused.value.what.count(";") == 2


def test_a_name_that_papermill_would_only_warn_about_is_refused(
    measured: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "injected_names", lambda: ["live", "scenaros"])
    with pytest.raises(UsageError, match="no 'scenaros', did you mean 'scenarios'"):
        benchmark(live=True)
    assert measured == []


def test_a_comma_in_an_axis_is_refused() -> None:
    with pytest.raises(UsageError, match="can't have the value 'a,b'"):
        asyncio.run(notebook.sweep_async("light", axes={"redis.profile": ["a,b"]}))
    with pytest.raises(UsageError, match="no scenario was named"):
        asyncio.run(notebook.sweep_async([]))


def test_a_sound_run_ends_with_a_sentence() -> None:
    said = batch.conclude(example("good")).plain
    assert said == "3 trials measured, none of them INVALID or cut short."


def test_a_trial_cut_short_ends_the_batch_with_its_name() -> None:
    with pytest.raises(RunInvalid, match="cut was cut short: perfkit ended") as ended:
        batch.conclude(example("bad"))
    assert "death" not in ended.value.what  # a failed threshold is a result
    assert ended.value.exit_code == 3


def test_a_trial_that_was_never_measured_ends_the_batch(tmp_path: Path) -> None:
    run = Run(seal(tmp_path, Sketch(), status="partial", plan=[{}, {}], reason="killed"))
    with pytest.raises(RunInvalid, match=r"1 of 2 planned trials (was|were) never begun"):
        batch.conclude(run)


def test_a_trial_that_a_threshold_aborted_is_a_result(tmp_path: Path) -> None:
    aborted = {"at_ns": 1, "threshold": "errors rate<0.05", "observed": 0.5, "text": "too many"}
    facts = {"outcome": "partial", "reason": "aborted: too many", "aborted": aborted}
    run = Run(seal(tmp_path, Sketch(facts=facts)))
    assert batch.conclude(run).plain.startswith("1 trial measured")


def test_an_invalid_trial_ends_the_batch_with_its_first_reason(tmp_path: Path) -> None:
    run = Run(seal(tmp_path, Sketch([request(0), request(1)])))  # accepted, and never seen again
    [judged] = run.verdict().trials
    assert judged.status == "INVALID"
    with pytest.raises(RunInvalid) as ended:
        batch.conclude(run)
    assert f"is INVALID: {judged.reasons[0]}" in ended.value.what
