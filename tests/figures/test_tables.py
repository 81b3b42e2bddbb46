"""Tables and the first screen: right first, and safe with any name."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from perfkit import figures
from perfkit.figures import Block
from tests.figures import examples

TRIALS: Any = examples.trials()
VERDICT: Any = examples.verdict()
HEADLINE: Any = examples.headline()
HOSTILE = '<script>alert("x")</script>'


def test_the_first_screen_says_verdict_answer_trials_instrument_and_origin() -> None:
    block = figures.first_screen(VERDICT, HEADLINE, TRIALS, examples.manifest(), examples.facts)
    order = [
        ">PASS</span>",
        "(observed, not inferred)",
        HEADLINE.lines[0],
        HEADLINE.lines[1],
        HEADLINE.lines[2],
        "<td>saturated</td>",
        "generator 6.0 % of a core, 300 µs a request; send lag P50 110 µs, P99 900 µs, max 3.20 ms",
        "first 20261124-041500-ab12",
    ]
    places = [block.html.index(part) for part in order]
    assert places == sorted(places)
    assert block.plain.startswith("PASS: ")


def test_a_partial_or_simulated_run_says_so_on_the_first_screen() -> None:
    manifest = examples.manifest() | {"status": "partial", "reason": "killed", "synthetic": True}
    page = figures.first_screen(VERDICT, HEADLINE, TRIALS, manifest, examples.facts).html
    assert "PARTIAL: killed" in page
    assert "simulated example data, not a measurement" in page


def test_missed_thresholds_come_first() -> None:
    results: Any = [
        examples.Result(),
        examples.Result(holds=False, observed=6e8, margin=-0.2, label="workers=2"),
        examples.Result(holds=False, note="the trial was cut short: not judged"),
    ]
    page = figures.thresholds(results).html
    assert page.index("missed") < page.index("not judged") < page.index("holds")
    assert "<td class=num>600 ms</td>" in page
    assert "<tr class=bad><td>missed" in page


def test_no_thresholds_is_a_sentence() -> None:
    assert "No thresholds were set" in figures.thresholds([]).html


def test_accounting_proves_its_balance() -> None:
    counted: Any = examples.Accounting()
    block = figures.accounting(counted)
    assert "The books balance" in block.html
    assert "<td class=num>2\u202f788</td>" in block.html
    assert "None at all: dropped, late" in block.html
    assert "a-1, b-2" in block.html


def test_accounting_that_does_not_balance_cries() -> None:
    counted: Any = examples.Accounting(holds=False)
    page = figures.accounting(counted).html
    assert "The books do not balance: 1 of 3 identities are broken." in page
    assert "<tr class=bad><td>BROKEN" in page


def test_unfinished_jobs_show_as_infinite_percentiles() -> None:
    page = figures.percentiles(examples.percentiles(), figures.titles(TRIALS)).html
    assert "<td class=num>∞</td>" in page


def test_the_instrument_states_its_cost_per_request() -> None:
    block = figures.instrument(TRIALS, examples.facts)
    assert "<td class=num>300</td>" in block.html
    assert "110 µs, 900 µs, 3.20 ms" in block.html


def test_a_trial_that_says_nothing_of_the_instrument_shows_gaps() -> None:
    assert "n/a" in figures.instrument(TRIALS, lambda _: {}).html


def test_the_environment_and_the_command_are_there() -> None:
    page = figures.environment(examples.manifest()).html
    for part in ("2 CPUs, Some CPU", "24.0 GiB", "dramatiq 2.2.1", "0123456789ab, with changes"):
        assert part in page
    again = figures.reproduce(examples.manifest()).html
    assert "perfkit sweep first --axis workers=1,2,4" in again
    assert "Seeds: 1. Trials planned: 3." in again


def test_settings_have_a_row_for_each_pool() -> None:
    settings = {
        "pools": [{"name": "a", "workers": 2, "threads": 8, "prefetch": 16}, {"name": "b"}],
        "worker_timeout_ns": 1_000_000_000,
        "preset": "stock",
    }
    page = figures.settings(TRIALS.iloc[:1], lambda _: {"settings": settings}).html
    assert page.count("<tr>") == 3


def _hostile_blocks() -> list[Block]:
    manifest = examples.manifest()
    manifest["command"] = [HOSTILE]
    manifest["name"] = HOSTILE
    manifest["scenarios"] = {HOSTILE: {"text": HOSTILE, "digest": HOSTILE}}
    manifest["host"] = manifest["host"] | {"cpu_model": HOSTILE}
    manifest["redis"] = manifest["redis"] | {"config": {HOSTILE: HOSTILE}}
    named = TRIALS.assign(label=HOSTILE, scenario=HOSTILE)
    verdict: Any = examples.Verdict("FAIL", (HOSTILE,) * 5, VERDICT.trials)
    headline: Any = examples.Headline(HOSTILE, (HOSTILE,) * 3)
    results: Any = [
        examples.Result(queue=HOSTILE, label=HOSTILE, note=HOSTILE, trial=i) for i in range(2)
    ]
    counted: Any = examples.Accounting(ids={HOSTILE: (HOSTILE,)})
    return [
        figures.first_screen(verdict, headline, named, manifest, examples.facts),
        figures.thresholds(results),
        figures.accounting(counted),
        figures.trials(named, VERDICT),
        figures.percentiles(examples.percentiles().assign(queue=HOSTILE), {0: HOSTILE}),
        figures.instrument(named, examples.facts),
        figures.environment(manifest),
        figures.reproduce(manifest),
    ]


@pytest.mark.parametrize("block", _hostile_blocks())
def test_a_hostile_name_stays_text(block: Block) -> None:
    assert "<script" not in block.html
    assert "&lt;script&gt;" in block.html


def test_trials_are_one_row_each() -> None:
    page = figures.trials(TRIALS, VERDICT).html
    assert page.count("<tr") == 1 + len(TRIALS)
    assert isinstance(TRIALS, pd.DataFrame)
