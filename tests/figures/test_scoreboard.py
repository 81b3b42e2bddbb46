"""The scoreboard: what was claimed, what is asked, what was observed, and what became of it."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest

from perfkit import figures
from perfkit.figures.scoreboard import STATES, in_unit, limit_words, state_of, target_words
from tests.figures.examples import Result

NOT_APPLICABLE = "not applicable at this load (offered 30.0/s, needs more than 150/s)"


def made(**given: Any) -> Any:
    """A result as `perfkit.verdict` gives it."""
    return Result(**given)


def failed(**given: Any) -> Any:
    """A result beyond its limit."""
    return made(**{"holds": False, "observed": 6e8, "margin": -0.2} | given)


def inapplicable(**given: Any) -> Any:
    """A target that this load does not reach."""
    throughput = {"metric": "throughput", "queue": None, "expr": "avg>150/s", "unit": "rate"}
    said = {"limit": 150.0, "observed": 29.4, "margin": -0.8, "note": NOT_APPLICABLE}
    return made(**throughput | said | {"applicable": False, "holds": True} | given)


@pytest.mark.parametrize(
    ("result", "state"),
    [
        (made(), "held"),
        (failed(), "failed"),
        (failed(observed=math.nan, n=0, note="there was nothing to observe"), "not observed"),
        (failed(note="the trial was cut short: not judged"), "not judged"),
        (inapplicable(), "not applicable at this load"),
    ],
)
def test_each_target_has_one_state_in_words(result: Any, state: str) -> None:
    assert state_of(result) == state
    page = figures.scoreboard([result], {0: "first"}).html
    assert f"<td>{state}</td>" in page


def test_what_does_not_apply_is_never_called_held() -> None:
    block = figures.scoreboard([inapplicable()], {0: "first"})
    assert not re.search(r"\b(held|holds|PASS|failed)\b", block.html)
    assert block.plain.startswith("No target could be judged; 1 not applicable at this load")


def test_the_worst_comes_first() -> None:
    results = [made(), inapplicable(), failed(note="the trial was cut short: not judged"), failed()]
    page = figures.scoreboard(results, {0: "first"}).html
    places = [page.index(f"<td>{state}</td>") for state in STATES if f"<td>{state}</td>" in page]
    assert len(places) == 4
    assert places == sorted(places)


def test_a_row_has_claim_limit_observation_n_and_margin() -> None:
    page = figures.scoreboard([made(claimed="487ms")], {0: "first"}).html
    assert (
        "<td>held</td><td>latency of payments, P95</td><td class=num>487ms</td>"
        "<td>&lt; 500 ms</td><td class=num>420 ms</td><td class=num>500</td>"
        "<td class=num>16.0 %</td>"
    ) in page
    assert "claimed" not in figures.scoreboard([made()], {0: "first"}).html


def test_an_infinite_margin_is_a_sign_and_no_percentage() -> None:
    page = figures.scoreboard([failed(observed=math.inf, margin=-math.inf)], {0: "first"}).html
    assert "<td class=num>-∞</td>" in page
    assert "inf" not in page.replace("inferred", "")


def test_no_thresholds_is_a_sentence() -> None:
    assert "No thresholds were set" in figures.scoreboard([], {}).html


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (made(), ("latency of payments, P95", "< 500 ms")),
        (made(expr="p(99.9) <= 1.5s", limit=1.5e9), ("latency of payments, P99.9", "<= 1.5 s")),
        (
            made(metric="errors", queue=None, expr="rate<0.05", limit=0.05, unit="share"),
            ("errors", "< 5 %"),
        ),
        (
            made(
                metric="workers.cpu", queue=None, expr="avg in 60%..75%", over="spike",
                limit=0.6, limit_high=0.75, unit="share",
            ),
            ("workers.cpu, avg, in spike", "60 % to 75 %"),
        ),
        (
            made(metric="redis.memory", queue=None, expr="max<80MB", limit=80e6, unit="bytes"),
            ("redis.memory, max", "< 76.3 MiB"),
        ),
        (inapplicable(), ("throughput, avg", "> 150/s")),
    ],
)  # fmt: skip
def test_targets_and_limits_are_words(result: Any, words: tuple[str, str]) -> None:
    assert (target_words(result), limit_words(result)) == words


def test_values_have_the_unit_of_their_metric() -> None:
    assert in_unit("share", 0.0312) == "3.12 %"
    assert in_unit("count", 12.0) == "12"
    assert in_unit("count", 12.5) == "12.5"
    assert in_unit("duration", 12e9) == "12.0 s"
    assert in_unit("duration", 12e9, exact=True) == "12 s"
    assert in_unit("rate", math.nan) == "n/a"


def suite(trials: int = 12) -> list[Any]:
    """Two targets in each of many trials; the last fails one, the first is below the other."""
    return [
        each
        for trial in range(trials)
        for each in (
            failed(trial=trial) if trial == trials - 1 else made(trial=trial),
            inapplicable(trial=trial)
            if trial == 0
            else inapplicable(trial=trial, applicable=True, note="", observed=160.0, margin=0.07),
        )
    ]


def test_many_trials_are_one_matrix_with_the_worst_at_its_top() -> None:
    names = {trial: f"t{trial}" for trial in range(12)}
    page = figures.scoreboard(suite(), names).html
    matrix = page[page.index("pk-matrix") : page.index("</table>")]
    assert matrix.count("<tr>") == 13
    assert matrix.count("<th scope=col>") == 3
    rows = re.findall(r"<th scope=row>(.*?)</th>", matrix)
    assert rows == ["t11", *(f"t{trial}" for trial in range(11))]
    assert "<td class=bad>600 ms <small>failed</small></td>" in matrix
    assert "<small>not applicable</small>" in matrix
    assert "1 of 23 targets failed in 12 trials, most often latency of payments, P95 (1)" in page
    assert "<summary>every target in every trial: 24 rows</summary>" in page


def test_a_trial_without_a_target_of_the_others_shows_a_gap() -> None:
    results = [made(trial=0), failed(trial=1), made(trial=1, queue="webhooks")]
    page = figures.scoreboard(results, {0: "a", 1: "b", 2: "c"}).html
    assert (
        "<tr><th scope=row>a</th><td>420 ms <small>held</small></td><td class=zero>–</td>" in page
    )
    assert "Without targets: c." in page
