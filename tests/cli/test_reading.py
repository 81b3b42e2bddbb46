"""Lists and histories as a person reads them, and as a script does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from perfkit.cli import main
from tests.fabricated import figures, passed, planned, write_run

Tell = Callable[..., tuple[int, str, str]]

HISTORY = """\
run (UTC)             trial  verdict  offered  achieved  P50 ms  P95 ms  P99 ms  P95 vs before  worst queue, P95 ms  errors  basis  perfkit
20260101-000000-0000  heavy  PASS       200/s     198/s    40.0     100     200              -  payments 150         0.0 %   A      0.1.0 aaaaaaaaaaaa
20260101-000100-0001  heavy  PASS       200/s     198/s    40.0     120     240          +20 %  payments 180         0.0 %   A      0.1.0 aaaaaaaaaaaa
20260101-000200-0002  heavy  PASS       200/s     198/s    40.0    90.0     180          -25 %  payments 135         0.0 %   A      0.1.0 aaaaaaaaaaaa

all on one basis: the same host, scenario and stack; observed, not inferred
P95 on A: ▇█▇  90.0 to 120 ms over 3 trials
"""  # noqa: E501


def test_a_list_has_a_line_a_run_and_says_what_to_do(tell: Tell, tmp_path: Path) -> None:
    write_run(tmp_path, "heavy", minutes=1)
    write_run(tmp_path, "light", minutes=2, summary=None)
    write_run(tmp_path, "spike", minutes=3, sealed=False, owner={})
    code, out, _ = tell("list", "--results", str(tmp_path))
    assert code == 0
    assert out.splitlines() == [
        "run (UTC)             name   status    verdict  trials",
        "20260101-000300-0003  spike  unsealed  -        1 trial",
        "20260101-000200-0002  light  complete  -        1 trial",
        "20260101-000100-0001  heavy  complete  PASS     1 trial",
        "unsealed: perfkit ended before it was done; `perfkit repair` keeps what was measured",
        "verdict -: no summary; `perfkit report RUN` writes it",
    ]
    code, out, _ = tell("list", "--results", str(tmp_path), "--limit", "1")
    assert "(2 more; --limit 3 shows all)" in out


def test_a_list_is_filtered_and_its_document_has_the_promised_keys(
    tell: Tell, tmp_path: Path
) -> None:
    write_run(tmp_path, "heavy", minutes=1)
    write_run(tmp_path, "light", minutes=2, summary=None)
    where = ("--results", str(tmp_path), "--json")
    code, out, _ = tell("list", "--verdict", "pass", *where)
    [row] = json.loads(out)["runs"]
    assert code == 0
    assert {"name", "run_id", "status", "verdict", "created", "trials", "path"} <= set(row)
    assert row["created"] == "2026-01-01T00:01:00+00:00"
    assert [json.loads(tell("list", "l*", *where)[1])["runs"][0]["name"]] == ["light"]
    _, out, _ = tell("list", "--since", "2027-01-01", "--results", str(tmp_path))
    assert "is like that" in out


def test_a_history_shows_what_may_be_compared_newest_last(tell: Tell, tmp_path: Path) -> None:
    for minute, p95_ms in enumerate((100, 120, 90)):
        write_run(tmp_path, minutes=minute, summary=passed(figures(p95_ms=p95_ms)))
    code, out, _ = tell("history", "heavy", "--results", str(tmp_path))
    assert code == 0
    assert out == HISTORY


def test_another_host_or_stack_is_marked_and_never_mixed_in(tell: Tell, tmp_path: Path) -> None:
    write_run(tmp_path, minutes=0)
    write_run(tmp_path, minutes=1, host={"fingerprint": "feedfacefeedface"})
    wide = planned("heavy", "workers=4", axes={"stack.workers": 4}, workload_digest="bbbbbbbbbb")
    saturated = {**passed(figures(saturated=True, status="FAIL")), "verdict": {"status": "FAIL"}}
    write_run(tmp_path, minutes=2, of=[wide], summary=saturated, synthetic=True)
    write_run(tmp_path, minutes=3, summary=None)
    _, out, _ = tell("history", "heavy", "--results", str(tmp_path))
    lines = out.splitlines()
    assert [line.split()[-3] for line in lines[1:5]] == ["A", "B", "C", "A"]
    assert "FAIL, saturated" in lines[3]
    assert "%" not in "".join(line.partition(" ms")[0] for line in lines[1:5]).replace("0.0 %", "")
    assert "compare only what has the same basis" in out
    assert "  B: host feedface, trial heavy, workload workload" in out
    assert "workload bbbbbbbb" in out
    assert "simulated" in out
    assert "-: no summary says; `perfkit report RUN` writes it" in out


def test_a_history_can_be_cut_and_read_by_a_script(tell: Tell, tmp_path: Path) -> None:
    for minute in range(5):
        write_run(tmp_path, minutes=minute, summary=passed(figures(p99_ns="inf")))
    where = ("heavy", "--results", str(tmp_path), "--limit", "2")
    assert tell("history", *where)[1].splitlines()[0] == "(3 older; --limit 5 shows all)"
    document = json.loads(tell("history", *where, "--json")[1], parse_constant=pytest.fail)
    assert [each["run"][-4:] for each in document["trials"]] == ["0003", "0004"]
    assert document["trials"][0]["p99_ns"] == "inf"
    assert document["trials"][0]["axes"] == {}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["history"], ["SCENARIO"]),
        (["history", "hevy"], ["measured a scenario 'hevy'", "did you mean 'heavy'"]),
        (["history", "heavy", "--since", "soon"], ["neither a time ago nor a date", "7d"]),
        (["history", "heavy", "--axis", "workers"], ["--axis", "KEY=VALUE"]),
        (["history", "heavy", "--axis", "workers=2"], ["no run here has an axis 'workers'"]),
        (["list", "hevy"], ["no run of 'hevy'", "did you mean 'heavy'"]),
        (["list", "--since", "31.1."], ["neither a time ago nor a date"]),
        (["list", "--status", "sealed"], ["--status", "complete"]),
        (["list", "--verdict", "GOOD"], ["--verdict", "inconclusive"]),
        (["show", "hevy"], ["did you mean 'heavy'"]),
    ],
)
def test_a_mistake_is_named_with_its_mend(
    tell: Tell, tmp_path: Path, arguments: list[str], words: list[str]
) -> None:
    write_run(tmp_path)
    code, out, err = tell(*arguments, "--results", str(tmp_path))
    assert code == 2
    assert out == ""
    for word in words:
        assert word in err


@pytest.mark.parametrize("verb", [["list"], ["history", "heavy"]])
def test_a_results_folder_that_is_not_there_is_named(
    tell: Tell, tmp_path: Path, verb: list[str]
) -> None:
    code, _, err = tell(*verb, "--results", str(tmp_path / "nowhere"))
    assert code == 2
    assert "there is no results folder" in err
    assert "--results" in err


def test_a_verb_is_loaded_only_when_it_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["history", "--help"])
    assert "newest last" in capsys.readouterr().out
