"""The environment is read into frozen settings, or refused as a whole."""

from __future__ import annotations

import pytest

from workers.settings import Settings, SettingsError


def test_an_empty_environment_gives_the_defaults() -> None:
    assert Settings.from_environment({}) == Settings()


def test_an_empty_variable_counts_as_not_set() -> None:
    names = ("REDIS_URL", "GATEWAY_URL", "RETRY_MIN_BACKOFF_MS", "MAX_RETRIES", "INGEST_ENQUEUE")
    assert Settings.from_environment(dict.fromkeys(names, "")) == Settings()


def test_every_variable_is_read() -> None:
    assert Settings.from_environment(
        {
            "REDIS_URL": "unix://:pw@/tmp/redis.sock?db=0",
            "GATEWAY_URL": "http://gateway:9000/v1",
            "RETRY_MIN_BACKOFF_MS": "50",
            "MAX_RETRIES": "0",
            "INGEST_ENQUEUE": "inline",
        }
    ) == Settings("unix://:pw@/tmp/redis.sock?db=0", "http://gateway:9000/v1", 50, 0, "inline")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REDIS_URL", "127.0.0.1:6379"),
        ("REDIS_URL", "redis://"),
        ("REDIS_URL", "redis://host:port/0"),
        ("REDIS_URL", "unix://"),
        ("GATEWAY_URL", "localhost"),
        ("GATEWAY_URL", "ftp://localhost"),
        ("GATEWAY_URL", "http://[::1"),
        ("RETRY_MIN_BACKOFF_MS", "0"),
        ("RETRY_MIN_BACKOFF_MS", "1s"),
        ("RETRY_MIN_BACKOFF_MS", "²"),
        ("MAX_RETRIES", "-1"),
        ("INGEST_ENQUEUE", "async"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name}[^;]* must be [^;]*$"):
        Settings.from_environment({name: value})


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(SettingsError, match=r"REDIS_URL.*MAX_RETRIES|MAX_RETRIES.*REDIS_URL"):
        Settings.from_environment({"REDIS_URL": "x", "MAX_RETRIES": "many"})


def test_a_password_is_neither_printed_nor_put_into_an_error() -> None:
    assert "hunter2" not in repr(Settings.from_environment({"REDIS_URL": "redis://:hunter2@h/0"}))
    with pytest.raises(SettingsError) as refused:
        Settings.from_environment({"REDIS_URL": "rdis://:hunter2@h/0"})
    assert "hunter2" not in str(refused.value)
