"""User code and HTTP targets as a scenario has them."""

from __future__ import annotations

from typing import Any

import pytest

from perfkit.errors import ScenarioError
from perfkit.scenario import Scenario, parse
from perfkit.scenario.target import is_secret_name


def document(**more: Any) -> dict[str, Any]:
    """A load on the sample; anything can be said otherwise."""
    whole: dict[str, Any] = {
        "name": "journey",
        "load": {"model": "closed", "users": 3},
        "job": [{"queue": "payments"}],
        "gateway": {"payments": {"median": "20ms"}},
    }
    for key, value in more.items():
        whole[key] = {**whole.get(key, {}), **value} if isinstance(value, dict) else value
    return whole


def read(**more: Any) -> Scenario:
    return parse(document(**more), "journey.toml")


def problems(**more: Any) -> dict[str, str]:
    with pytest.raises(ScenarioError) as caught:
        read(**more)
    return {each.key: f"{each.what} ({each.mend})" for each in caught.value.problems}


USER = {"user": "journey.py:user"}
SYSTEM = {"system": {"broker": "shop.tasks:broker"}, "gateway": {}}


@pytest.mark.parametrize(
    "named", ["journey.py:user", "code/journey.py:user", "shop.journey:user", "shop:Users.ann"]
)
def test_user_code_is_named_by_file_or_module(named: str) -> None:
    scenario = read(load={"user": named})
    assert scenario.load.user == named
    assert scenario.is_journey


@pytest.mark.parametrize("named", ["journey.py", "journey", ":user", "journey.py:", "a b:user"])
def test_what_names_no_function_is_refused(named: str) -> None:
    assert "load.user" in problems(load={"user": named})


def test_without_user_code_the_requests_are_the_built_in_ones() -> None:
    assert not read().is_journey


def test_a_template_is_a_target_with_drawn_fields() -> None:
    scenario = read(
        target={
            "url": "/orders",
            "method": "POST",
            "headers": {"X-Key": {"seeded": "key"}},
            "body": {"amount": {"seeded": "int", "low": 1, "high": 9}},
            "job_id": {"header": "X-Job-Id"},
        }
    )
    assert scenario.target is not None
    assert scenario.target.job_id is not None
    assert scenario.target.job_id.header == "X-Job-Id"


@pytest.mark.parametrize(
    ("target", "key", "words"),
    [
        ({"url": "orders"}, "target.url", "neither a path nor an absolute URL"),
        ({"url": "ftp://host/"}, "target.url", "no URL of a web server"),
        ({"url": "http://"}, "target.url", "no URL of a web server"),
        ({"url": "HTTP://host/"}, "target.url", "write http://host:port/path"),
        ({"url": "//host/orders"}, "target.url", "neither a path nor an absolute URL"),
        ({"url": "http://ann:pl4nted@host/"}, "target.url", "a scenario is kept"),
        ({"method": "POST"}, "target.url", "missing"),
        ({"url": "/", "method": "BREW"}, "target.method", "GET"),
        ({"url": "/", "job_id": {}}, "target.job_id", "either"),
        ({"url": "/", "job_id": {"header": "X", "pointer": "/id"}}, "target.job_id", "either"),
        ({"url": "/", "job_id": {"pointer": "id"}}, "target.job_id.pointer", "pattern"),
        ({"url": "/", "headers": {"X-Y": "a\r\nb: c"}}, "target.headers", "one line"),
        ({"url": "/", "headers": {"X Y": "a"}}, "target.headers", "letters"),
        ({"url": "/", "headers": {"X-Y": {"env": "A B"}}}, "target.headers", "variable"),
        ({"url": "/", "body": {"a": {"seeded": "dice"}}}, "target.body", "seeded"),
        ({"url": "/", "app": "shop.web:app"}, "target.app", "none is named"),
        ({"url": "/", "wait": "1s"}, "target.wait", "unknown key"),
    ],
)
def test_a_target_that_cannot_be_is_refused(target: dict[str, Any], key: str, words: str) -> None:
    assert words in problems(target=target)[key]


def test_a_path_stays_a_path_though_its_query_holds_a_url() -> None:
    scenario = read(target={"url": "/go?to=http://elsewhere.test/"})
    assert scenario.target is not None
    assert not scenario.target.is_absolute
    assert scenario.has_stack


@pytest.mark.parametrize(
    "name", ["Authorization", "Cookie", "X-Api-Key", "X-Auth", "My-Token", "Proxy-Authorization"]
)
def test_a_secret_is_refused_in_the_file_and_not_repeated(name: str) -> None:
    assert is_secret_name(name)
    told = problems(target={"url": "/", "headers": {name: "pl4nted"}})
    assert 'env = "NAME"' in told["target.headers"]
    assert "pl4nted" not in str(told)


@pytest.mark.parametrize(
    ("target", "key"),
    [
        ({"url": "/", "query": {"api_key": "pl4nted"}}, "target.query"),
        ({"url": "/", "body": {"user": [{"password": "pl4nted"}]}}, "target.body"),
        ({"url": "/", "body": "user=ann&password=pl4nted"}, "target.body"),
        ({"url": "/", "body": {"password": {"env": "a pl4nted"}}}, "target.body"),
        ({"url": "/orders?size=3&token=pl4nted"}, "target.url"),
        ({"url": "http://host/orders?secret=pl4nted"}, "target.url"),
    ],
)
def test_a_secret_in_a_query_or_a_body_is_refused_and_not_repeated(
    target: dict[str, Any], key: str
) -> None:
    more = {"job": [], "gateway": {}} if "://" in target["url"] else {}
    found = document(target=target) | more
    with pytest.raises(ScenarioError) as caught:
        parse(found, "journey.toml")
    told = {each.key: f"{each.what} ({each.mend})" for each in caught.value.problems}
    assert list(told) == [key]
    assert "env" in told[key]
    assert "pl4nted" not in str(caught.value)


def test_values_of_the_environment_are_known_wherever_they_stand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("A", "pl4nted one")
    monkeypatch.setenv("B", "pl4nted two")
    scenario = read(
        target={
            "url": "/",
            "query": {"token": {"env": "A"}},
            "body": {"users": [{"password": {"env": "B"}, "max_tokens": 3}]},
        }
    )
    assert scenario.target is not None
    assert scenario.target.variables == {"query.token": "A", "body.users.0.password": "B"}
    assert {"pl4nted one", "pl4nted%20one", "pl4nted+two"} <= set(scenario.secrets)


ELSEWHERE = {"target": {"url": "https://shop.test:8443/orders?size=3"}}


def elsewhere(**more: Any) -> dict[str, Any]:
    return {"name": "elsewhere", "load": {"model": "open", "rate": 5.0}} | ELSEWHERE | more


def test_a_server_elsewhere_needs_no_jobs_and_has_no_stack() -> None:
    scenario = parse(elsewhere(), "elsewhere.toml")
    assert not scenario.has_stack
    assert scenario.target is not None
    assert scenario.target.origin == "https://shop.test:8443"
    assert parse(document(target={"url": "/orders"}), "own.toml").has_stack


def test_everything_of_a_stack_is_refused_in_one_problem() -> None:
    given = elsewhere(
        job=[{"queue": "payments"}],
        gateway={"payments": {"median": "1ms"}},
        stack={"workers": 2},
        redis={"profile": "turbo"},
        fault=[{"action": "kill", "target": "worker", "at": "1s"}],
        host={"system_cpus": "0"},
    )
    with pytest.raises(ScenarioError) as caught:
        parse(given, "elsewhere.toml")
    of_stack = [each for each in caught.value.problems if "of a stack" in each.what]
    assert len(of_stack) == 1
    said = str(of_stack[0])
    for name in ("job", "gateway", "stack.workers", "redis.profile", "fault", "host.system_cpus"):
        assert name in said
    assert "[system]" in of_stack[0].mend


@pytest.mark.parametrize(
    ("threshold", "words"),
    [
        ({"metric": "queue.backlog", "expr": "max<10"}, "of a stack"),
        ({"metric": "workers.cpu", "expr": "avg<0.5"}, "of a stack"),
        ({"metric": "lost", "expr": "count==0"}, "of a stack"),
        ({"metric": "latency", "queue": "payments", "expr": "p(95)<1s"}, "no queues"),
        ({"metric": "latency", "over": "dusk", "expr": "p(95)<1s"}, "no phase"),
    ],
)
def test_a_threshold_that_only_a_stack_can_answer_is_refused(
    threshold: dict[str, Any], words: str
) -> None:
    with pytest.raises(ScenarioError) as caught:
        parse(elsewhere(threshold=[threshold]), "elsewhere.toml")
    assert words in str(caught.value)


def test_thresholds_on_requests_and_on_the_generator_are_taken() -> None:
    rows = [
        {"metric": "latency", "request": "GET /orders", "expr": "p(95)<1s"},
        {"metric": "errors", "expr": "rate<1%"},
        {"metric": "generator.cpu", "expr": "max<0.9"},
    ]
    assert len(parse(elsewhere(threshold=rows), "elsewhere.toml").threshold) == 3


def test_phases_are_checked_without_a_stack_too() -> None:
    load = {"model": "open", "phase": [{"duration": "5s", "users": 3}]}
    with pytest.raises(ScenarioError) as caught:
        parse(elsewhere(load=load), "elsewhere.toml")
    assert "load.phase.0.rate" in {each.key for each in caught.value.problems}


def test_own_values_are_targets_where_there_is_user_code() -> None:
    row = {"metric": "own.basket", "expr": "p(95)<50"}
    assert "there is none" in str(problems(threshold=[row]))
    (threshold,) = read(load=USER, threshold=[row]).threshold
    assert str(threshold) == "own.basket p(95)<50"
    assert "of iterations" in str(problems(load=USER, threshold=[{**row, "request": "pay"}]))
    assert "does not fit" in str(problems(load=USER, threshold=[{**row, "expr": "rate<1"}]))


def test_a_password_in_a_url_is_not_repeated() -> None:
    assert "pl4nted" not in str(problems(target={"url": "http://ann:pl4nted@host/", "app": 3}))


def test_a_secret_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_TOKEN", "pl4nted")
    scenario = read(target={"url": "/", "headers": {"Authorization": {"env": "API_TOKEN"}}})
    assert scenario.secrets == ("pl4nted",)
    assert "pl4nted" not in repr(scenario)


@pytest.mark.parametrize("key", ["method", "query", "body", "name"])
def test_a_template_has_no_meaning_beside_user_code(key: str) -> None:
    value: Any = {"a": 1} if key in ("query", "body") else "POST"
    assert f"target.{key}" in problems(load=USER, target={key: value})


def test_user_code_needs_http() -> None:
    told = problems(load={**USER, "via": "enqueue", "pacing": "1s"},
                    job=[{"queue": "payments", "actor": "pay"}])  # fmt: skip
    assert "load.user" in told


def test_an_application_takes_requests_where_the_target_says() -> None:
    assert "load.via" in problems(**SYSTEM)
    assert "target.app" in problems(**SYSTEM, target={"url": "/orders"})
    told = document(**SYSTEM, target={"url": "/orders", "app": "shop.web:app"})
    told["gateway"] = {}
    scenario = parse(told, "shop.toml")
    assert scenario.target is not None
    assert scenario.target.app == "shop.web:app"


@pytest.mark.parametrize(
    ("threshold", "words"),
    [
        ({"metric": "checks", "expr": "rate>0.9"}, "there is none"),
        ({"metric": "checks", "expr": "rate>0.9", "request": "pay"}, "whole iterations"),
        ({"metric": "redis.cpu", "expr": "avg<0.9", "request": "pay"}, "leave out request"),
    ],
)
def test_a_threshold_of_user_code_fits_it(threshold: dict[str, Any], words: str) -> None:
    assert words in str(problems(threshold=[threshold]))


def test_requests_are_targets_by_their_names() -> None:
    scenario = read(load=USER, threshold=[
        {"metric": "latency", "request": "pay", "expr": "p(95)<1s"},
        {"metric": "journey", "expr": "p(95)<2s"},
        {"metric": "raised", "expr": "rate<1%"},
    ])  # fmt: skip
    assert [str(each) for each in scenario.threshold] == [
        "latency of pay p(95)<1s", "journey p(95)<2s", "raised rate<1%"
    ]  # fmt: skip
