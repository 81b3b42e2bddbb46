"""A body becomes a job, or is refused with a way to mend it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.job import JobRefused, parse_job


def test_a_good_job_is_returned_whole() -> None:
    job = {"key": "1/0", "amount": 1299, "note": ["ö", None]}
    assert parse_job("payments", json.dumps(job).encode()) == job
    assert parse_job("webhooks", b'{"key": "1/0"}') == {"key": "1/0"}


@pytest.mark.parametrize(
    ("queue", "body", "status", "what"),
    [
        ("webhooks", b"", 400, "not JSON"),
        ("webhooks", b"{", 400, "not JSON"),
        ("webhooks", b'{"key": NaN}', 400, "NaN is not JSON"),
        ("webhooks", b"\xff", 400, "not JSON"),
        ("webhooks", b"[" * 16_000, 400, "not JSON"),
        ("webhooks", b'{"key":"k","n":' + b"9" * 5000 + b"}", 400, "not JSON"),
        ("webhooks", b"[]", 422, "an array, not an object"),
        ("webhooks", b"null", 422, "null, not an object"),
        ("webhooks", b"1.5", 422, "a number, not an object"),
        ("webhooks", b"{}", 422, "'key' is missing"),
        ("webhooks", b'{"key": 7}', 422, "'key' is a number"),
        ("webhooks", b'{"key": ""}', 422, "'key' is a string of the wrong form"),
        ("webhooks", b'{"key": "a\\nb"}', 422, "'key' is a string of the wrong form"),
        ("webhooks", b'{"key": "\\ud800"}', 422, "'key' is a string of the wrong form"),
        ("webhooks", json.dumps({"key": "k" * 201}).encode(), 422, "'key' is a string"),
        ("payments", b'{"key": "k"}', 422, "'amount' is missing"),
        ("payments", b'{"key": "k", "amount": 0}', 422, "'amount' is not usable"),
        ("payments", b'{"key": "k", "amount": true}', 422, "'amount' is not usable"),
        ("payments", b'{"key": "k", "amount": 1.5}', 422, "'amount' is not usable"),
    ],
)
def test_a_bad_body_is_refused(queue: str, body: bytes, status: int, what: str) -> None:
    with pytest.raises(JobRefused) as refused:
        parse_job(queue, body)
    assert refused.value.status == status
    assert what in refused.value.what
    assert refused.value.mend


@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: json.dumps(text).encode()))
def test_any_bytes_at_all_are_a_job_or_a_refusal(body: bytes) -> None:
    try:
        status = 202 if "key" in parse_job("payments", body) else 0
    except JobRefused as refused:
        status = refused.status
    assert status in (202, 400, 422)
