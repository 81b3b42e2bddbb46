"""The benchmark's yardsticks: a server that sees who does other work, a lateness against a grid."""

from __future__ import annotations

import urllib.request

import numpy as np
import pytest

from tests.benchmarks.clients import Server, lateness_ms, serving

BODY = b'{"key":"1/2","amount":5}'


def post(server: Server, name: str, body: bytes = BODY) -> None:
    asked = urllib.request.Request(f"{server.url}/jobs/payments", body, {"Idempotency-Key": name})
    with urllib.request.urlopen(asked) as reply:
        assert reply.status == 202


def test_requests_with_keys_of_their_own_are_counted_and_dated() -> None:
    with serving() as server:
        for number in range(3):
            post(server, f"{number:036d}")
        assert server.count() == 3
        assert (np.diff(server.arrivals()) > 0).all()
        assert len(server.arrivals()) == 0, "each is told once"
        post(server, f"{0:036d}")
        assert server.count() == 4, "another measurement may use a key again"


@pytest.mark.parametrize("fault", ["a key that another has", "no body"])
def test_other_work_than_that_of_a_run_is_refused(fault: str) -> None:
    with serving() as server:
        post(server, f"{1:036d}")
        if fault == "no body":
            post(server, f"{2:036d}", b"")
        else:
            post(server, f"{1:036d}")
        with pytest.raises(SystemExit, match="not the work of a run"):
            server.count()


def test_lateness_is_counted_from_the_earliest_grid() -> None:
    grid = np.arange(1000, dtype=np.int64) * 2_000_000 + 12345
    assert lateness_ms(grid, 500.0).tolist() == [0, 0, 0]
    late = grid.copy()
    late[500] += 1_500_000
    assert lateness_ms(late, 500.0).tolist() == [0, 0, 1.5]
    assert lateness_ms(grid + 7, 500.0).tolist() == [0, 0, 0], "late by the same is not seen"
    assert np.isnan(lateness_ms(grid, None)).all()
