"""What a scenario asks of the stack and of the load generator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from perfkit.clock import SystemClock
from perfkit.launcher.placement import place
from perfkit.launcher.stack import Stack
from perfkit.plan import build
from perfkit.runner.specs import asked, load_spec, most_workers, servers_of, stack_spec
from perfkit.scenario import Scenario, load_document, parse, with_values

S = 1_000_000_000


def scenario(name: str = "light", **values: Any) -> Scenario:
    document, _ = load_document(name)
    return parse(
        with_values(document, {key.replace("__", "."): value for key, value in values.items()}),
        "case",
    )


class Addresses(Stack):
    """A stack that is nowhere, but has addresses."""

    def __init__(self, urls: dict[str, str]) -> None:
        self._urls = urls

    @property
    def ingest_url(self) -> str:
        return "http://127.0.0.1:1"

    @property
    def redis_url(self) -> str:
        return next(iter(self._urls.values()))

    @property
    def redis_urls(self) -> dict[str, str]:
        return self._urls


@pytest.mark.parametrize(("name", "users"), [("spike", 2000), ("spike-open", 0)])
def test_the_generator_gets_the_whole_course_of_the_load(
    tmp_path: Path, name: str, users: int
) -> None:
    trial = build([name]).trials[0]
    facts = asked(trial, SystemClock())
    spec = load_spec(trial, Addresses({"payments": "redis://one"}), facts, tmp_path, place())
    assert sum(part.duration_ns for part in spec.segments) == spec.load_ns == 80 * S
    first = 100 if users else 50
    assert [(part.duration_ns // S, *part.levels) for part in spec.segments] == [
        (10, 0, first),
        (10, first, first),
        (20, first, first),
        (5, first, first * 20),
        (15, first * 20, first * 20),
        (5, first * 20, first),
        (15, first, first),
    ]
    assert spec.users == users


def test_the_facts_of_a_trial_tell_its_course_and_its_peak() -> None:
    facts = asked(build(["spike"]).trials[0], SystemClock())
    assert facts["users"] == 2000
    assert facts["offered_per_s"] == pytest.approx(366.67, abs=0.01)
    assert [each["name"] for each in facts["stretches"]] == [
        "ramp", "warm-up", "before", "spike", "spike", "after", "after",
    ]  # fmt: skip
    assert facts["stretches"][3]["level_end"] == 2000.0
    assert facts["aborted"] is None
    assert asked(build(["smoke"]).trials[0], SystemClock())["users"] is None


def spec_of(each: Scenario, tmp_path: Path) -> Any:
    return stack_spec(each, tmp_path, redis_url=None, redis_server=None, cpus=None, leases=tmp_path)


def test_all_that_the_sample_is_told_is_in_the_facts() -> None:
    plan = build(["light"], values={"stack.breaker": True})
    told = asked(plan.trials[0], SystemClock())["system_env"]
    assert (told["MAX_RETRIES"], told["GATEWAY_BREAKER"]) == ("5", "1")


def test_an_outage_is_no_part_of_the_gateways_file_since_its_time_is_not_known(
    tmp_path: Path,
) -> None:
    each = scenario(gateway__payments__outage_from="1s", gateway__payments__outage_until="2s")
    assert set(spec_of(each, tmp_path).gateway["payments"]) == {"median_ms", "sigma", "errors"}


def test_queues_are_gathered_by_the_server_they_live_on() -> None:
    queues = ["payments", "notifications", "webhooks"]
    one = Addresses(dict.fromkeys(queues, "redis://one"))
    assert servers_of(one, queues) == {"redis://one": queues}
    each = Addresses({queue: f"redis://{queue}" for queue in queues})
    assert servers_of(each, queues) == {f"redis://{queue}": [queue] for queue in queues}


@pytest.mark.parametrize(
    ("values", "most"),
    [
        ({}, 2),
        ({"scale__0__at": "1s", "scale__0__workers": 5}, 5),
        (
            {
                "scale__0__at": "9s",
                "scale__0__workers": 5,
                "scale__1__at": "1s",
                "scale__1__workers": 0,
            },
            7,
        ),
        ({"autoscale__maximum": 6}, 6),
        ({"autoscale__maximum": 1}, 2),
    ],
)
def test_room_is_asked_for_all_workers_that_will_be_started(
    values: dict[str, Any], most: int
) -> None:
    assert most_workers(scenario(**values)) == most


@pytest.mark.parametrize(("url", "limit_ns"), [("/orders", 540 * S), ("http://o.test/", 4 * S)])
def test_only_our_own_way_in_is_trusted_to_keep_idle_connections(
    tmp_path: Path, url: str, limit_ns: int
) -> None:
    path = tmp_path / "orders.toml"
    sample = "[[job]]\nqueue = 'payments'\n[gateway.payments]\nmedian = '20ms'\n"
    path.write_text(
        f"name = 'orders'\nload = {{ model = 'closed', users = 3 }}\n"
        f"target = {{ url = '{url}' }}\n{'' if '://' in url else sample}"
    )
    trial = build([str(path)]).trials[0]
    stack = Addresses({"payments": "redis://one"})
    spec = load_spec(trial, stack, asked(trial, SystemClock()), tmp_path, place())
    assert spec.idle_limit_ns == limit_ns
