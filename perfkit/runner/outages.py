"""Outages of the simulated gateway, told to it once the start of the window is known."""

from __future__ import annotations

import httpx

from perfkit.errors import StackError
from perfkit.scenario import Scenario

__all__ = ["Outages", "announce_outages", "outages_of"]

Outages = dict[str, list[tuple[int, int, str]]]
"""Queue -> (from, until, mode), in ns of the monotonic clock."""

_TIMEOUT_S = 5.0
_REASON_CHARACTERS = 500


def outages_of(scenario: Scenario, window_ns: int) -> Outages:
    """The outages of a scenario whose window begins then; queues without one are left out."""
    return {
        queue: [
            (window_ns + each.outage_from_ns, window_ns + each.outage_until_ns, each.outage_mode)
        ]
        for queue, each in scenario.gateway.items()
        if each.outage_from_ns is not None and each.outage_until_ns is not None
    }


def announce_outages(gateway_url: str | None, outages: Outages) -> None:
    """Tell the gateway when it fails; nothing is said where it does not.

    Raises:
        StackError: it did not take them.
    """
    if not outages:
        return
    if gateway_url is None:
        raise StackError("this stack has no gateway that could fail", "leave out outage_from")
    try:
        answer = httpx.post(
            f"{gateway_url}/control/outages", json=outages, timeout=_TIMEOUT_S, trust_env=False
        )
    except httpx.HTTPError as error:
        raise StackError(f"the gateway did not take its outages: {error}") from None
    if answer.is_error:
        reason = answer.text.strip()[:_REASON_CHARACTERS] or "without a reason"
        raise StackError(f"the gateway did not take its outages ({answer.status_code}): {reason}")
