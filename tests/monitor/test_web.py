"""The server: what it answers, to whom, and that it leaves its port."""

from __future__ import annotations

import dataclasses
import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from perfkit.errors import PortInUse, UsageError
from perfkit.monitor.exposition import exposition
from perfkit.monitor.feed import ManualFeed
from perfkit.monitor.routes import ROUTES
from perfkit.monitor.serving import Served, serve
from perfkit.monitor.snapshot import Source
from tests.monitor.apps import Events, document, get, manual, snapshot
from tests.waiting import wait_until

TOKEN = "a-token-of-many-letters"


@pytest.fixture
def served() -> Iterator[Served]:
    with serve(manual(1, 2, 3)) as served:
        yield served


def test_each_route_answers_and_says_what_it_is(served: Served) -> None:
    described = document(served, "/openapi.json")["paths"]
    for route in ROUTES:
        path = route.path.replace("{name}", "payments").replace("{id}", "job-1")
        assert document(served, path)
        assert route.path in described
    assert document(served, "/queue/status")["queues"][0]["waiting"] == 3


def test_a_queue_tells_latency_throughput_errors_and_history(served: Served) -> None:
    told = document(served, "/queue/payments/metrics")
    assert told["throughput_per_s"] == 5.0
    assert told["error_rate"] == pytest.approx(0.2)
    assert told["latency"] == {"p50_s": None, "p95_s": None, "p99_s": None}
    assert told["counts"]["waiting"] == 3
    assert told["history"]["series"]["waiting"] == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    "path",
    ["/nothing", "/queue/none/metrics", "/jobs/none", "/assets/x.js", "/assets/../routes.py",
     "/assets/%2e%2e/routes.py", "//"],
)  # fmt: skip
def test_what_is_not_there_is_said_in_words(served: Served, path: str) -> None:
    status, _, body = get(served, path)
    assert status == 404
    assert json.loads(body)["mend"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_it_only_looks(served: Served, method: str) -> None:
    status, headers, _ = get(served, "/snapshot", method=method)
    assert status == 405
    assert headers["allow"] == "GET, HEAD"


def test_head_is_get_without_the_body(served: Served) -> None:
    status, headers, body = get(served, "/snapshot", method="HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["content-length"]) > 100


@pytest.mark.parametrize(
    "path", ["/", "/snapshot", "/nothing", "/docs", "/metrics", "/assets/docs.css"]
)
def test_every_answer_keeps_browsers_safe(served: Served, path: str) -> None:
    _, headers, _ = get(served, path)
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "server" not in headers


def test_strangers_are_refused(served: Served) -> None:
    assert get(served, "/snapshot", {"Host": "evil.example"})[0] == 421
    assert get(served, "/snapshot", {"Origin": "http://evil.example"})[0] == 403


def test_the_docs_have_no_script_and_no_external_address(served: Served) -> None:
    body = get(served, "/docs")[2].decode()
    assert "<script" not in body
    assert "http://" not in body
    assert "https://" not in body
    assert "/queue/{name}/metrics" in body


def test_events_tell_the_history_and_then_each_snapshot() -> None:
    feed = manual(1, 2)
    with serve(feed) as served:
        events = Events(served)
        name, _, history = events.next()
        assert (name, history["series"]["totals/waiting"]) == ("history", [1.0, 2.0])
        name, number, told = events.next()
        assert (name, number, told["seq"]) == ("snapshot", f"{feed.epoch}-2", 2)
        feed.push(snapshot(3))
        assert events.next()[2]["seq"] == 3
        events.close()


def test_who_was_away_gets_what_was_missed_and_nothing_twice() -> None:
    feed = manual(1, 2, 3, 4)
    with serve(feed) as served:
        events = Events(served, last=f"{feed.epoch}-2")
        assert [events.next()[2]["seq"] for _ in range(2)] == [3, 4]
        events.close()


@pytest.mark.parametrize("last", ["other-2", "", "-", "x-99999999999999999999999", "9"])
def test_an_id_of_another_server_begins_anew(last: str) -> None:
    with serve(manual(1, 2)) as served:
        events = Events(served, last=last)
        assert events.next()[0] == "history"
        events.close()


def test_a_page_that_opens_the_stream_anew_names_the_last_it_saw_in_the_query() -> None:
    feed = manual(1, 2, 3, 4)
    with serve(feed) as served:
        events = Events(served, f"/events?last={feed.epoch}-2")
        assert [events.next()[2]["seq"] for _ in range(2)] == [3, 4]
        events.close()


def test_many_that_come_and_go_leave_no_listener_behind() -> None:
    feed = manual(1)
    with serve(feed) as served:
        clients = [Events(served) for _ in range(20)]
        for each in clients:
            assert each.next()[0] == "history"
        assert len(feed._listeners) == 20
        for each in clients[:10]:
            each.close()
        wait_until(lambda: len(feed._listeners) == 10, 10, "those that hung up are forgotten")
        feed.push(snapshot(2))
        for each in clients[10:]:
            assert each.next()[2]["seq"] in (1, 2)
    wait_until(lambda: not feed._listeners, 10, "the server let go of the feed")
    for each in clients:
        each.close()
    feed.push(snapshot(3))  # and the feed goes on


def test_no_more_than_64_may_listen_and_the_next_is_told_so() -> None:
    with serve(manual(1)) as served:
        clients = [Events(served) for _ in range(64)]
        status, headers, body = get(served, "/events")
        assert (status, headers["retry-after"]) == (503, "5")
        assert b"too many" in body
        for each in clients:
            each.close()
        wait_until(lambda: get(served, "/events", method="HEAD")[0] == 200, 10, "there is room")


def test_a_stream_ends_with_the_server_and_the_port_is_free() -> None:
    served = serve(manual(1))
    events = Events(served)
    assert events.next()[0] == "history"
    assert events.next()[0] == "snapshot"
    served.close()
    with pytest.raises((EOFError, OSError)):
        events.next()
    events.close()
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", served.port))


def test_before_the_first_snapshot_it_is_not_ready() -> None:
    feed = manual()
    with serve(feed) as served:
        assert get(served, "/readyz")[0] == 503
        assert get(served, "/healthz")[0] == 200
        assert get(served, "/snapshot")[0] == 503
        assert b"perfkit_up 0.0" in get(served, "/metrics")[2]
        feed.push(snapshot(1, sources={"redis": Source(ok=False, detail="gone", since_s=1.0)}))
        status, _, body = get(served, "/readyz")
        assert (status, json.loads(body)["broken"]) == (503, ["redis"])


class _Silent(ManualFeed):
    """A feed that should look each second and does not."""

    def __init__(self, silent_s: float) -> None:
        super().__init__()
        self._for_s = silent_s

    @property
    def silent_s(self) -> float:
        return self._for_s


@pytest.mark.parametrize(
    ("silent_s", "ready", "healthy"), [(1, 200, 200), (20, 503, 200), (90, 503, 503)]
)
def test_old_figures_are_not_given_out_as_those_of_now(
    silent_s: float, ready: int, healthy: int
) -> None:
    feed = _Silent(silent_s)
    feed.push(snapshot(1, sources={"redis": Source(ok=True, detail="answers", since_s=1.0)}))
    with serve(feed) as served:
        assert get(served, "/readyz")[0] == ready
        assert get(served, "/healthz")[0] == healthy
        metrics = get(served, "/metrics")[2].decode()
    assert (f"perfkit_up {float(ready == 200)}" in metrics) is True
    assert ("perfkit_queue_waiting{" in metrics) is (ready == 200)


def test_a_port_in_use_and_a_foreign_address_are_refused(served: Served) -> None:
    with pytest.raises(PortInUse, match=str(served.port)):
        serve(manual(), port=served.port)
    with pytest.raises(UsageError, match="no address"):
        serve(manual(), host="no.such.host.invalid")


def test_another_address_than_loopback_needs_a_token() -> None:
    told: list[str] = []
    with serve(manual(1), host="0.0.0.0", told=told.append) as served:
        token = served.made_token
        assert token is not None
        assert token not in served.link
        host = {"Host": f"127.0.0.1:{served.port}"}
        assert get(served, "/snapshot", host)[0] == 401
        assert get(served, "/snapshot", {**host, "Authorization": f"Bearer {token}"})[0] == 200
        assert get(served, "/healthz", host)[0] == 200
        code = served.link.partition("?")[2]
        assert "0.0.0.0" not in served.link, "no browser gets there"
        assert get(served, f"/?{code}", host, method="HEAD")[0] == 303, "a preview of the link"
        status, headers, _ = get(served, f"/?{code}", host)
        assert status == 303
        cookie = headers["set-cookie"].partition(";")[0]
        assert get(served, "/snapshot", {**host, "Cookie": cookie})[0] == 200
        assert get(served, f"/?{code}", host)[0] == 401, "a link works once"
        assert len(told) == 1


def test_a_token_that_is_given_is_not_told_and_a_short_one_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PERFKIT_MONITOR_TOKEN", TOKEN)
    with serve(manual(1)) as served:
        assert served.made_token is None
        assert get(served, "/snapshot")[0] == 401
    monkeypatch.setenv("PERFKIT_MONITOR_TOKEN", "short")
    with pytest.raises(UsageError, match="guessed"):
        serve(manual(1))


@pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool: install `prometheus`")
def test_promtool_finds_nothing_wrong_with_the_metrics() -> None:
    from perfkit.monitor.snapshot import Snapshot

    example = json.loads((Path(__file__).parent / "snapshot.json").read_text())
    for each in (None, Snapshot.from_document(example), snapshot(1)):
        checked = subprocess.run(
            ["promtool", "check", "metrics"], input=exposition(each), capture_output=True
        )
        assert checked.returncode == 0, checked.stderr
        assert not checked.stderr, checked.stderr


def test_a_query_of_very_many_fields_is_nobodys(served: Served) -> None:
    assert get(served, "/snapshot?" + "&".join(f"a{n}=1" for n in range(100)))[0] == 200


def test_hostile_names_stay_labels() -> None:
    from perfkit.monitor.snapshot import Queue, Snapshot

    name = 'x"}\n# TYPE evil gauge\nevil 1'
    text = exposition(Snapshot(seq=1, at_s=0.0, queues=(Queue(name=name, waiting=1),))).decode()
    assert "\nevil 1" not in text


def test_what_nobody_knows_of_workers_is_absent_and_not_nought() -> None:
    unknown = exposition(snapshot(1)).decode()
    for name in ("workers_alive", "workers_lost", "clients_alive"):
        assert f"\nperfkit_{name} " not in unknown

    from perfkit.monitor.snapshot import Totals

    told: Any = {"workers": 2, "workers_alive": 0, "workers_lost": 2, "clients_alive": 1}
    known = exposition(dataclasses.replace(snapshot(1), totals=Totals(**told))).decode()
    assert "\nperfkit_workers_alive 0.0" in known
    assert "\nperfkit_workers_lost 2.0" in known
    assert "\nperfkit_clients_alive 1.0" in known
