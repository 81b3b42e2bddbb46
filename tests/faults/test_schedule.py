"""When faults come: each once, in the order of their instants."""

from __future__ import annotations

from perfkit.faults import FaultPlan
from perfkit.scenario import Fault, parse_fault

S = 1_000_000_000


def faults(*texts: str) -> list[Fault]:
    return [parse_fault(text) for text in texts]


def test_each_fault_comes_once_when_its_time_has_come() -> None:
    plan = FaultPlan(faults("kill worker at 4s", "kill ingest at -1s"))
    assert plan.next_ns == -S
    assert plan.due(-2 * S) == []
    (early,) = plan.due(-S)
    assert (early.index, early.fault.target) == (1, "ingest")
    assert plan.next_ns == 4 * S
    assert plan.due(3 * S) == []
    (late,) = plan.due(9 * S)
    assert (late.index, late.fault.target) == (0, "worker")
    assert plan.due(10 * S) == []
    assert plan.next_ns is None


def test_of_two_at_one_instant_the_first_in_the_file_comes_first() -> None:
    plan = FaultPlan(faults("kill worker at 1s", "kill ingest at 1s", "kill redis at 500ms"))
    assert [due.fault.target for due in plan.due(S)] == ["redis", "worker", "ingest"]


def test_without_faults_nothing_is_ever_due() -> None:
    assert FaultPlan(()).next_ns is None
    assert FaultPlan(()).due(S) == []
