"""Outages of the gateway: when they are, and that a gateway which does not take them ends it."""

from __future__ import annotations

import pytest

from perfkit.errors import StackError
from perfkit.runner.outages import announce_outages, outages_of
from perfkit.scenario import load_document, parse, with_values

S = 1_000_000_000


def test_an_outage_counts_from_the_start_of_the_window() -> None:
    document, _ = load_document("light")
    values = {"gateway.payments.outage_from": "10s", "gateway.payments.outage_until": "20s"}
    scenario = parse(with_values(document, values), "case")
    assert outages_of(scenario, 1000 * S) == {"payments": [(1010 * S, 1020 * S, "refuse")]}


def test_without_an_outage_nothing_is_said_and_no_gateway_is_needed() -> None:
    document, _ = load_document("light")
    assert outages_of(parse(document, "case"), 0) == {}
    announce_outages(None, {})


def test_an_outage_of_a_gateway_that_is_not_there_is_an_error() -> None:
    with pytest.raises(StackError, match="no gateway"):
        announce_outages(None, {"payments": [(0, 1, "refuse")]})
    with pytest.raises(StackError, match="did not take its outages"):
        announce_outages("http://127.0.0.1:9", {"payments": [(0, 1, "refuse")]})
