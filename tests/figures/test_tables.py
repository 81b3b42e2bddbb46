"""Tables and the first screen: right first, and safe with any name."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd
import pytest

from perfkit import figures
from perfkit.figures import Block
from perfkit.figures.instrument import instrument_line
from perfkit.verdict import Counter
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
        "Load: open model, 200/s offered, 203/s came due.",
        "<td>pass, saturated</td>",
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


def test_a_state_hides_no_verdict() -> None:
    frame = TRIALS.assign(
        status=["FAIL", "INVALID", "INCONCLUSIVE"], state=["saturated", "carried", "partial"]
    )
    page = figures.trials(frame).html
    for css, words in (
        ("bad", "fail, saturated"),
        ("broken", "invalid, carried"),
        ("unsure", "inconclusive, partial"),
    ):
        assert re.search(f"<tr class={css}><td>[^<]*</td><td>{words}</td>", page), words


def test_percentiles_have_their_n() -> None:
    for page in (
        figures.trials(TRIALS).html,
        figures.first_screen(VERDICT, HEADLINE, TRIALS, examples.manifest(), examples.facts).html,
    ):
        assert "<th class=num scope=col>n</th>" in page
        assert "<td class=num>2\u202f436</td>" in page


def test_accounting_proves_its_balance() -> None:
    block = figures.accounting(TRIALS, examples.accounting)
    assert "The books balance" in block.html
    assert "None at all: dropped, late" in block.html
    assert "a-1, b-2" in block.html


def test_accounting_has_a_column_for_each_trial() -> None:
    page = figures.accounting(TRIALS, examples.accounting).html
    cells = "".join(f"<td class=num>{count}</td>" for count in (12, 12, 0, 0))
    assert f"<td>pending</td>{cells}" in page
    alone = figures.accounting(TRIALS.iloc[:1], examples.accounting).html
    assert "<th class=num scope=col>requests</th><th scope=col>meaning</th>" in alone


def test_accounting_shows_what_others_counted() -> None:
    page = figures.accounting(TRIALS, examples.accounting).html
    assert "<summary>3 independent counters, 3 agree</summary>" in page
    assert page.count("<td>charges in the ledger</td>") == 3


def broken(changed: dict[str, Any]) -> Any:
    """A reader of books of which the first trial's, and so the sums, are changed."""
    return lambda trial: examples.accounting(trial, **(changed if trial in (None, 0) else {}))


def test_accounting_that_does_not_balance_cries() -> None:
    page = figures.accounting(TRIALS, broken({"done": 0})).html
    assert "The books do not balance: 1 of 3 identities is broken." in page
    assert "<tr class=bad><td>BROKEN" in page


def test_a_counter_that_disagrees_stands_open() -> None:
    read = broken({"counters": (Counter("charges in the ledger", 615, 616, False),)})
    page = figures.accounting(TRIALS, read).html
    assert "The books do not balance: 1 independent counter disagrees." in page
    assert page.index("<tr class=bad><td>DISAGREES</td><td>workers=1</td>") < page.index("<details")


def test_the_books_do_not_balance_while_a_job_is_unexplained() -> None:
    read = broken({"pending": 0, "unexplained": 12})
    said = "The books do not balance: 12 accepted jobs are unexplained"
    assert f"{said}." in figures.accounting(TRIALS, read).html
    cut = TRIALS.assign(state="partial")
    assert f"{said}, all of them in trials cut short." in figures.accounting(cut, read).html


def test_unfinished_jobs_show_as_infinite_percentiles() -> None:
    page = figures.percentiles(examples.percentiles(), figures.titles(TRIALS)).html
    assert "<td class=num>∞</td>" in page


def test_the_instrument_states_its_cost_per_request() -> None:
    block = figures.instrument(TRIALS, examples.facts)
    assert "<td class=num>300</td>" in block.html
    assert "110 µs, 900 µs, 3.20 ms" in block.html


def test_of_several_generators_the_sum_and_the_busiest_are_told() -> None:
    def facts(trial: int) -> dict[str, Any]:
        known = dict(examples.facts(trial))
        shards = [{"cpu_ns": used, "wall_ns": 10**10} for used in (10**9, 4 * 10**9, None)]
        return known | {"generator": dict(known["generator"]) | {"by_shard": shards}}

    share = figures.instrument(TRIALS, examples.facts).plain.splitlines()[1].split("  ")[1]
    busiest = " (3 shards, the busiest 40.0 %)"
    assert share + busiest in figures.instrument(TRIALS, facts).plain
    assert f"of a core{busiest}" in instrument_line(TRIALS, facts)


def test_a_trial_that_says_nothing_of_the_instrument_shows_gaps() -> None:
    assert "n/a" in figures.instrument(TRIALS, lambda _: {}).html


def test_the_environment_and_the_command_are_there() -> None:
    page = figures.environment(examples.manifest()).html
    for part in ("2 CPUs, Some CPU", "24.0 GiB", "dramatiq 2.2.1", "0123456789ab, with changes"):
        assert part in page
    again = figures.reproduce(examples.manifest()).html
    assert "perfkit sweep first --axis workers=1,2,4" in again
    assert "Seeds: 1. Trials planned: 3." in again


def test_the_command_leaves_out_what_let_a_notebook_watch_it() -> None:
    watched = ["perfkit", "run", "smoke", "--json", "--progress", "json", "--while-stdin"]
    page = figures.reproduce(examples.manifest() | {"command": [*watched, "--set", "a=1"]}).html
    assert ">perfkit run smoke --set a=1</code>" in page


def test_settings_have_a_row_for_each_pool() -> None:
    settings = {
        "pools": [{"name": "a", "workers": 2, "threads": 8, "prefetch": 16}, {"name": "b"}],
        "worker_timeout_ns": 1_000_000_000,
        "preset": "stock",
    }
    page = figures.settings(TRIALS.iloc[:1], lambda _: {"settings": settings}).html
    assert page.count("<tr>") == 3


def test_each_trial_says_which_redis_it_had() -> None:
    def facts(trial: int) -> dict[str, Any]:
        """Two that ran, with servers that differ, and one that only has what was asked for."""
        pools = [{"name": "worker", "workers": 1, "threads": 8, "prefetch": 16}]
        if trial == 2:
            return {"settings": {"pools": pools}, "document": {"redis": {"profile": "asked"}}}
        config = {"maxmemory": str(trial), "hz": "10"}
        redis = {"server": "redis", "version": "8", "profile": f"p{trial}", "config": config}
        return {"settings": {"pools": pools}, "stack": {"redis": redis}}

    page = figures.settings(TRIALS, facts).html
    for profile in ("p0", "p1", "asked"):
        assert f"<td>{profile}</td></tr>" in page
    assert "<td>maxmemory</td><td class=num>0</td><td class=num>1</td>" in page
    assert "hz" not in page


def test_what_a_server_could_not_do_is_said_once() -> None:
    def facts(trial: int) -> dict[str, Any]:
        redis = {"profile": "lru-4gb", "per_queue": trial == 0, "warnings": ["<fewer> clients"]}
        return {"settings": {"pools": [{"name": "worker"}]}, "stack": {"redis": redis}}

    block = figures.settings(TRIALS, facts)
    assert block.html.count("Note: &lt;fewer&gt; clients.") == 1
    assert block.plain.count("Note: <fewer> clients.") == 1
    assert block.html.count("lru-4gb, one for each queue") == 1


def _hostile_blocks() -> list[Block]:
    manifest = examples.manifest()
    manifest["command"] = [HOSTILE]
    manifest["name"] = HOSTILE
    manifest["scenarios"] = {HOSTILE: {"text": HOSTILE, "digest": HOSTILE}}
    manifest["host"] = manifest["host"] | {"cpu_model": HOSTILE}
    manifest["redis"] = manifest["redis"] | {"config": {HOSTILE: HOSTILE}}
    named = TRIALS.assign(label=HOSTILE, scenario=HOSTILE, title=HOSTILE)
    verdict: Any = examples.Verdict("FAIL", (HOSTILE,) * 5, VERDICT.trials)
    headline: Any = examples.Headline(HOSTILE, (HOSTILE,) * 3)
    results: Any = [
        examples.Result(queue=HOSTILE, claimed=HOSTILE, note=HOSTILE, trial=i) for i in range(2)
    ]
    ids: dict[str, Any] = {HOSTILE: (HOSTILE,)}
    counters = (Counter(HOSTILE, 1, 2, False),)
    return [
        figures.first_screen(verdict, headline, named, manifest, examples.facts),
        figures.scoreboard(results, {0: HOSTILE, 1: HOSTILE}),
        figures.accounting(named, broken({"ids": ids, "counters": counters})),
        figures.trials(named),
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
    page = figures.trials(TRIALS).html
    assert page.count("<tr") == 1 + len(TRIALS)
    assert isinstance(TRIALS, pd.DataFrame)
