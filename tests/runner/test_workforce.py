"""Workers that come and go: what is asked of the stack, and when."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from perfkit.launcher.change import ScaleEvent
from perfkit.runner.workforce import Workforce
from perfkit.scenario import Scenario, load_document, parse, with_values

S = 1_000_000_000


class Crew:
    """A stack that has the workers it is asked for when told that it is done."""

    def __init__(self, workers: int = 1) -> None:
        self.workers = workers
        self.events: list[ScaleEvent] = []

    def scale(self, pool: str | None, workers: int, reason: str) -> ScaleEvent:
        event = ScaleEvent(len(self.events), pool or "worker", self.workers, workers, reason)
        self.events.append(event)
        self.workers = workers
        return event

    def done(self) -> None:
        self.events = [replace(event, done_ns=1) for event in self.events]

    def scale_events(self) -> list[ScaleEvent]:
        return self.events

    def workers_now(self, pool: str | None = None) -> int:
        return self.workers

    @property
    def asked(self) -> list[tuple[str, int, str]]:
        return [(event.pool, event.to_workers, event.reason) for event in self.events]


def scenario(**values: Any) -> Scenario:
    document, _ = load_document("light")
    return parse(
        with_values(document, {key.replace("__", "."): value for key, value in values.items()}),
        "case",
    )


def test_without_a_plan_or_a_rule_nothing_is_asked() -> None:
    crew = Crew()
    Workforce(scenario(), crew).look(0, {"queue.age": 1e12})
    assert crew.asked == []


def test_a_plan_is_carried_out_once_at_its_time() -> None:
    crew = Crew()
    workforce = Workforce(
        scenario(scale__0__at="-5s", scale__0__workers=2, scale__1__at="3s", scale__1__workers=7),
        crew,
    )
    for at_s in (-10, -5, 0, 2, 3, 4):
        workforce.look(at_s * S, {})
    assert crew.asked == [("worker", 2, "planned"), ("worker", 7, "planned")]


def test_a_rule_is_told_the_age_and_how_many_there_are() -> None:
    crew = Crew(workers=1)
    workforce = Workforce(scenario(autoscale__target="500ms", autoscale__maximum=4), crew)
    workforce.look(0, {"queue.age": 1.4e9})
    ((pool, workers, reason),) = crew.asked
    assert (pool, workers) == ("worker", 3)
    assert reason.startswith("autoscale: ")


def test_a_rule_waits_while_a_change_is_going_on() -> None:
    crew = Crew(workers=1)
    workforce = Workforce(scenario(autoscale__target="500ms", autoscale__maximum=8), crew)
    for at_s in (0, 1, 2):
        workforce.look(at_s * S, {"queue.age": 1.4e9})
    assert len(crew.asked) == 1
    crew.done()
    workforce.look(3 * S, {"queue.age": 1.4e9})
    assert len(crew.asked) == 2


def test_the_rule_of_a_pool_looks_at_its_own_queues_alone() -> None:
    document, _ = load_document("light")
    del document["stack"]["workers"]
    document["stack"]["pool"] = [
        {"name": "pay", "queues": ["payments"]},
        {"name": "rest", "queues": ["notifications", "webhooks"]},
    ]
    document["autoscale"] = {"pool": "pay", "target": "500ms"}
    crew = Crew(workers=1)
    workforce = Workforce(parse(document, "case"), crew)
    workforce.look(0, {"queue.age": 9e9, "queue.age:webhooks": 9e9, "queue.age:payments": 0.0})
    assert crew.asked == []
    workforce.look(S, {"queue.age:webhooks": 9e9, "queue.age:payments": 0.9e9})
    assert [(pool, workers) for pool, workers, _ in crew.asked] == [("pay", 2)]
