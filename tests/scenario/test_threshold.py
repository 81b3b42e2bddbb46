"""The grammar of thresholds."""

from __future__ import annotations

import math

import pytest

from perfkit.scenario import METRICS, TELEMETRY, Threshold, parse_expression


@pytest.mark.parametrize(
    ("metric", "expr", "aggregate", "percentile", "operator", "limit"),
    [
        ("latency", "p(95)<500ms", "p", 95.0, "<", 5e8),
        ("latency", " p( 99.9 ) <= 1.5s ", "p", 99.9, "<=", 1.5e9),
        ("service", "max<2s", "max", None, "<", 2e9),
        ("errors", "rate<0.01", "rate", None, "<", 0.01),
        ("errors", "rate<5%", "rate", None, "<", 0.05),
        ("throughput", "avg>150/s", "avg", None, ">", 150.0),
        ("lost", "count==0", "count", None, "==", 0.0),
        ("redis.memory.used_ratio", "max<80%", "max", None, "<", 0.8),
        ("redis.memory", "p(99)<80MB", "p", 99.0, "<", 80e6),
        ("workers.memory", "max<=4GiB", "max", None, "<=", 4 * 2.0**30),
        ("queue.backlog", "max<10000", "max", None, "<", 10_000.0),
        ("queue.age", "med<=2s", "med", None, "<=", 2e9),
    ],
)
def test_an_expression_is_parsed(
    metric: str, expr: str, aggregate: str, percentile: float | None, operator: str, limit: float
) -> None:
    parsed = parse_expression(metric, expr)
    assert (parsed.aggregate, parsed.percentile, parsed.operator) == (
        aggregate,
        percentile,
        operator,
    )
    assert parsed.limit == pytest.approx(limit)


@pytest.mark.parametrize(
    ("metric", "expr", "why"),
    [
        ("latency", "p95<500ms", "write"),
        ("latency", "p(101)<5ms", "outside"),
        ("latency", "rate<5", "does not fit"),
        ("latency", "p(95)<500", "duration"),
        ("errors", "rate<few", "not a number"),
        ("lost", "count=0", "write"),
        ("latency", "", "write"),
        ("queue.backlog", "count<5", "does not fit"),
        ("redis.memory", "max<80", "80MB"),
        ("throughput", "avg>fast", "150/s"),
        ("workers.cpu", "avg in 75%..60%", "empty"),
        ("workers.cpu", "avg in 60%", "write"),
        ("workers.cpu", "avg in 60%...75%", "not a number"),
        ("workers.cpu", "avg in ..75%", "write"),
    ],
)
def test_what_does_not_fit_is_refused_and_says_why(metric: str, expr: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_expression(metric, expr)


@pytest.mark.parametrize(
    ("expr", "below", "at", "above"),
    [
        ("max<5ms", True, False, False),
        ("max<=5ms", True, True, False),
        ("max>5ms", False, False, True),
        ("max>=5ms", False, True, True),
        ("max==5ms", False, True, False),
    ],
)
def test_an_operator_holds_where_it_should(expr: str, below: bool, at: bool, above: bool) -> None:
    parsed = parse_expression("latency", expr)
    assert [parsed.holds(value) for value in (4e6, 5e6, 6e6)] == [below, at, above]


@pytest.mark.parametrize("operator", ["<", "<=", ">", ">=", "=="])
def test_what_was_not_measured_never_meets_a_limit(operator: str) -> None:
    assert not parse_expression("latency", f"max{operator}5ms").holds(math.nan)


@pytest.mark.parametrize("expr", ["avg in 60%..75%", "avg 60%..75%", " avg  in  0.6 .. 0.75 "])
def test_a_range_holds_at_both_its_ends(expr: str) -> None:
    parsed = parse_expression("workers.cpu", expr)
    assert (parsed.operator, parsed.limit, parsed.high) == ("in", 0.6, 0.75)
    assert [parsed.holds(share) for share in (0.59, 0.6, 0.7, 0.75, 0.76, math.nan)] == [
        False,
        True,
        True,
        True,
        False,
        False,
    ]


def test_a_range_of_durations_is_read_in_their_units() -> None:
    parsed = parse_expression("latency", "p(50) in 10ms..1.5s")
    assert (parsed.limit, parsed.high) == (10e6, 1.5e9)


@pytest.mark.parametrize("metric", sorted(TELEMETRY))
def test_every_aggregate_of_samples_fits_every_metric_of_telemetry(metric: str) -> None:
    value = {"duration": "5ms", "bytes": "5MB"}.get(METRICS[metric], "0.5")
    for aggregate in ("p(95)", "avg", "med", "min", "max"):
        assert parse_expression(metric, f"{aggregate}<{value}").limit > 0


def test_a_target_says_what_it_is_about() -> None:
    target = Threshold(metric="queue.backlog", expr="max<5", queue="payments", over="steady")
    assert str(target) == "queue.backlog of payments max<5 over steady"


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"metric": "latency", "expr": "max<5ms", "abort": True}, "not known while a trial runs"),
        ({"metric": "dead", "expr": "count==0", "abort": True}, "these can: dropped, errors"),
        (
            {"metric": "errors", "expr": "rate<1", "abort": True, "queue": "payments"},
            "errors of one queue is not known while a trial runs",
        ),
        ({"metric": "workers.cpu", "expr": "max<1", "queue": "payments"}, "leave out queue"),
        ({"metric": "lost", "expr": "count==0", "over": "steady"}, "over the whole trial"),
        ({"metric": "errors", "expr": "rate<1", "abort_after": "1s"}, "without abort"),
        ({"metric": "errors", "expr": "rate<1", "needs_offered": "many"}, "150/s"),
        ({"metric": "errors", "expr": "rate<1", "needs_offered": True}, "150/s"),
        ({"metric": "errors", "expr": "rate<1", "claim": "2 %"}, "claim"),
    ],
)
def test_a_target_that_can_not_be_judged_so_is_refused(values: dict[str, object], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Threshold(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("metric", ["errors", "dropped", "throughput", "queue.backlog"])
def test_what_is_seen_while_running_can_abort_a_trial(metric: str) -> None:
    aggregate = {"errors": "rate", "dropped": "count", "throughput": "avg"}.get(metric, "max")
    target = Threshold(metric=metric, expr=f"{aggregate}<5", abort=True, abort_after="10s")  # type: ignore[call-arg]
    assert target.watchable
    assert target.abort_after_ns == 10_000_000_000
