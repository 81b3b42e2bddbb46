"""What Redis noted itself."""

from __future__ import annotations

from pathlib import Path

from perfkit import frames
from tests.sealed import MS, Sketch, sample, seal


def test_slow_commands_are_counted_by_command_the_worst_first(tmp_path: Path) -> None:
    noted = [
        sample(0.5, "redis.slowlog_ns", 2 * MS, "EVALSHA fetch"),
        sample(3.0, "redis.slowlog_ns", 5 * MS, "EVALSHA fetch"),
        sample(4.0, "redis.slowlog_ns", 6 * MS, "INFO"),
        sample(4.0, "redis.slow_commands", 3.0),
    ]
    table = frames.slow_commands(seal(tmp_path, Sketch(samples=noted), Sketch()))
    assert table["command"].tolist() == ["INFO", "EVALSHA fetch"]
    assert table["count"].tolist() == [1, 2]
    assert table["worst_ns"].tolist() == [6 * MS, 5 * MS]
    assert table["total_ns"].tolist() == [6 * MS, 7 * MS]
    assert table["server"].tolist() == ["", ""]
    assert table["trial"].tolist() == [0, 0]


def test_with_a_server_for_each_queue_it_is_named(tmp_path: Path) -> None:
    noted = [
        sample(2.0, "redis.latency_event_ns", 9 * MS, "payments/fork"),
        sample(3.0, "redis.latency_event_ns", 7 * MS, "webhooks/fork"),
        sample(4.0, "redis.latency_event_ns", 8 * MS, "webhooks/fork"),
    ]
    table = frames.latency_events(seal(tmp_path, Sketch(samples=noted)))
    assert table["server"].tolist() == ["payments", "webhooks"]
    assert table["event"].tolist() == ["fork", "fork"]
    assert table["count"].tolist() == [1, 2]
    assert table["worst_ns"].tolist() == [9 * MS, 8 * MS]


def test_a_server_that_noted_nothing_has_the_columns_alone(tmp_path: Path) -> None:
    run = seal(tmp_path, Sketch())
    for table in (frames.slow_commands(run), frames.latency_events(run)):
        assert table.empty
        assert {"trial", "label", "server", "count", "worst_ns"} <= set(table.columns)
