"""The ingest, as a process behind uvicorn."""

from __future__ import annotations

import json
import uuid

import pytest
import redis

from tests.conftest import free_port
from tests.waiting import wait_until
from tests.workers.services import Service, StartIngest
from workers.job import MAX_BODY_BYTES

JOB = {"key": "1/0"}


def waiting(url: str, queue: str) -> list[dict[str, object]]:
    """The messages in a queue, in order."""
    with redis.Redis.from_url(url) as client:
        ids = client.lrange(f"dramatiq:{queue}", 0, -1)
        return [json.loads(client.hget(f"dramatiq:{queue}.msgs", i) or b"") for i in ids]


@pytest.mark.parametrize("mode", ["inline", "thread"])
def test_a_job_is_enqueued_under_the_id_it_was_given(
    clean_redis: str, start_ingest: StartIngest, mode: str
) -> None:
    ingest = start_ingest(REDIS_URL=clean_redis, INGEST_ENQUEUE=mode)
    job = {"key": "1/0", "amount": 1299}
    given = str(uuid.uuid4())
    status, answer = ingest.ask("POST", "/jobs/payments", job, {"Idempotency-Key": given})
    assert (status, answer) == (202, {"id": given, "queue": "payments"})
    (message,) = waiting(clean_redis, "payments")
    assert message["message_id"] == given
    assert (message["actor_name"], message["args"]) == ("payments", [job])


def test_an_id_is_made_for_a_job_without_one(clean_redis: str, start_ingest: StartIngest) -> None:
    ingest = start_ingest(REDIS_URL=clean_redis)
    answers = [ingest.ask("POST", "/jobs/webhooks", JOB)[1]["id"] for _ in range(2)]
    assert [message["message_id"] for message in waiting(clean_redis, "webhooks")] == answers
    assert len(set(answers)) == 2
    assert all(uuid.UUID(answer) for answer in answers)


def test_what_is_wrong_is_answered_with_a_mend_and_not_enqueued(
    clean_redis: str, start_ingest: StartIngest
) -> None:
    ingest = start_ingest(REDIS_URL=clean_redis)
    large = b'{"key": "' + b"k" * MAX_BODY_BYTES + b'"}'
    asked = {
        404: ingest.ask("POST", "/jobs/refunds", JOB),
        405: ingest.ask("GET", "/jobs/payments"),
        413: ingest.ask("POST", "/jobs/payments", large),
        422: ingest.ask("POST", "/jobs/payments", {}),
        400: ingest.ask("POST", "/jobs/payments", b"{"),
    }
    more = [
        (404, ingest.ask("GET", "/jobs")),
        (405, ingest.ask("POST", "/healthz")),
        (400, ingest.ask("POST", "/jobs/webhooks", JOB, {"Idempotency-Key": "order-1"})),
        (422, ingest.ask("POST", "/jobs/payments", JOB)),
    ]
    for expected, (status, answer) in [*asked.items(), *more]:
        assert status == expected
        assert sorted(answer) == ["error", "mend"]
        assert all(answer.values())
    assert "payments, notifications, webhooks" in asked[404][1]["mend"]
    with redis.Redis.from_url(clean_redis) as client:
        assert client.keys("dramatiq:*") == []
    assert ingest.ask("POST", "/jobs/webhooks", JOB)[0] == 202


def test_the_ledger_is_counted(clean_redis: str, start_ingest: StartIngest) -> None:
    ingest = start_ingest(REDIS_URL=clean_redis)
    assert ingest.ask("GET", "/ledger") == (200, {"entries": 0})
    with redis.Redis.from_url(clean_redis) as client:
        client.hset("sample:ledger", "a", "ch_1")
    assert ingest.ask("GET", "/ledger") == (200, {"entries": 1})


def is_ready(ingest: Service) -> bool:
    return ingest.ask("GET", "/readyz") == (200, {"status": "ready"})


def test_it_is_ready_when_redis_answers(clean_redis: str, start_ingest: StartIngest) -> None:
    ingest = start_ingest(REDIS_URL=clean_redis)
    wait_until(lambda: is_ready(ingest), 5, "the ingest is ready")


@pytest.mark.parametrize("mode", ["inline", "thread"])
@pytest.mark.parametrize("fault", ["no server", "wrong password"])
def test_without_a_redis_it_lives_but_is_not_ready_and_says_how_to_repeat_a_job(
    redis_url: str, start_ingest: StartIngest, mode: str, fault: str
) -> None:
    port = free_port() if fault == "no server" else int(redis_url.rpartition(":")[2].split("/")[0])
    ingest = start_ingest(REDIS_URL=f"redis://:hunter2@127.0.0.1:{port}/0", INGEST_ENQUEUE=mode)
    given = str(uuid.uuid4())
    asked = [
        ingest.ask("POST", "/jobs/webhooks", JOB, {"Idempotency-Key": given}),
        ingest.ask("GET", "/readyz"),
        ingest.ask("GET", "/ledger"),
    ]
    assert [status for status, _ in asked] == [503, 503, 503]
    assert given in asked[0][1]["mend"]
    assert ingest.ask("GET", "/healthz")[0] == 200
    printed = (ingest.folder / "ingest.out").read_text()
    assert "Traceback" not in printed
    assert "hunter2" not in printed + json.dumps(asked)


@pytest.fixture
def apart(clean_redis: str) -> dict[str, str]:
    """Queue -> URL: payments and webhooks have servers (here: databases) of their own."""
    server = clean_redis.removesuffix("/0")
    return {"payments": f"{server}/1", "webhooks": f"{server}/2"}


@pytest.mark.parametrize("mode", ["inline", "thread"])
def test_each_job_goes_to_the_server_of_its_queue(
    clean_redis: str, apart: dict[str, str], start_ingest: StartIngest, mode: str
) -> None:
    ingest = start_ingest(
        REDIS_URL=apart["payments"], REDIS_URLS=json.dumps(apart), INGEST_ENQUEUE=mode
    )
    for queue in apart:
        job = {**JOB, "amount": 5} if queue == "payments" else JOB
        assert ingest.ask("POST", f"/jobs/{queue}", job)[0] == 202
    for queue, url in apart.items():
        with redis.Redis.from_url(url) as client:
            assert client.keys("dramatiq:*.msgs") == [f"dramatiq:{queue}.msgs".encode()]
        assert [message["queue_name"] for message in waiting(url, queue)] == [queue]


def test_the_ledger_is_that_of_the_payments_server(
    clean_redis: str, apart: dict[str, str], start_ingest: StartIngest
) -> None:
    ingest = start_ingest(REDIS_URL=apart["webhooks"], REDIS_URLS=json.dumps(apart))
    with redis.Redis.from_url(apart["payments"]) as client:
        client.hset("sample:ledger", "a", "ch_1")
    assert ingest.ask("GET", "/ledger") == (200, {"entries": 1})


def test_it_is_ready_only_when_each_server_answers(
    clean_redis: str, apart: dict[str, str], start_ingest: StartIngest
) -> None:
    ingest = start_ingest(REDIS_URL=apart["payments"], REDIS_URLS=json.dumps(apart))
    wait_until(lambda: is_ready(ingest), 5, "the ingest is ready")
    apart["webhooks"] = f"redis://127.0.0.1:{free_port()}/0"
    half = start_ingest(REDIS_URL=apart["payments"], REDIS_URLS=json.dumps(apart))
    assert half.ask("GET", "/readyz")[0] == 503
    assert half.ask("GET", "/ledger")[0] == 200
