"""What is refused before anything starts, because of whose server it is."""

from __future__ import annotations

from typing import Any

import pytest

from perfkit.faults import links_of, refusals
from perfkit.scenario import Scenario, fault_row, load_document, parse

FOREIGN = "redis://:secret@queue.example:6379/0"


def scenario(*faults: str, **tables: Any) -> Scenario:
    document, _ = load_document("light")
    rows = [fault_row(text) for text in faults]
    return parse({**document, **tables, "fault": rows}, "case")


def said(
    asked: Scenario, url: str | None = FOREIGN, *, allow: bool = False, limit: int | None = None
) -> list[str]:
    return [str(each) for each in refusals(asked, url, allow_destructive=allow, limit_bytes=limit)]


@pytest.mark.parametrize(
    "fault", ["kill redis at 1s", "stop redis at 1s for 1s", "restart redis at 1s"]
)
def test_the_process_of_somebody_elses_server_is_out_of_reach(fault: str) -> None:
    (problem,) = said(scenario(fault), allow=True)
    assert problem.startswith("fault.0.target: ")
    assert "needs the process of the server" in problem
    assert said(scenario(fault), None) == []


def test_somebody_elses_server_is_paused_and_filled_only_if_that_is_allowed() -> None:
    paused = scenario("pause redis at 1s for 1s")
    (problem,) = said(paused)
    assert "--allow-destructive" in problem
    assert said(paused, allow=True) == []
    filled = scenario("fill redis at 1s", redis={"maxmemory": "32MB"})
    (problem,) = said(filled, limit=0, allow=True)
    assert "no memory limit" in problem
    assert said(filled, limit=1 << 25, allow=True) == []


def test_only_plain_connections_can_be_relayed() -> None:
    asked = scenario("cut worker-redis at 1s for 1s")
    assert said(asked) == []
    for url in ("rediss://queue.example/0", "unix:///run/redis.sock"):
        (problem,) = said(asked, url)
        assert "only redis:// can be relayed" in problem
        assert said(scenario("slow worker-gateway at 1s for 1s amount 5ms"), url) == []


def test_every_problem_is_told_and_none_shows_the_password() -> None:
    problems = said(scenario("kill worker at 1s", "kill redis at 1s", "pause redis at 2s for 1s"))
    assert [each.split(":")[0] for each in problems] == ["fault.1.target", "fault.2.target"]
    assert "secret" not in " ".join(problems)


def test_poison_needs_an_ingest_to_be_sent_to() -> None:
    poison = scenario("poison queue:payments at 1s")
    assert said(poison, None) == []
    direct = scenario(
        "poison queue:payments at 1s",
        load={"model": "open", "rate": 5.0, "via": "enqueue"},
        job=[
            {
                "queue": "payments",
                "actor": "payments",
                "args": [{"seeded": "int", "low": 1, "high": 9}],
            }
        ],
        gateway={"payments": {"median": "5ms"}},
        threshold=[],
    )
    (problem,) = said(direct, None)
    assert "none is started" in problem


def test_a_relay_is_put_only_where_a_fault_needs_one() -> None:
    assert links_of(scenario("kill worker at 1s")) == ()
    asked = scenario(
        "slow worker-gateway at 1s for 1s amount 5ms",
        "cut worker-redis at 2s for 1s",
        "slow worker-redis at 3s for 1s amount 5ms",
    )
    assert links_of(asked) == ("worker-redis", "worker-gateway")
