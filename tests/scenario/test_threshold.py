"""The grammar of thresholds."""

from __future__ import annotations

import math

import pytest

from perfkit.scenario import parse_expression


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
