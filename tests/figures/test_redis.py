"""What Redis says of itself."""

from __future__ import annotations

import pandas as pd

from perfkit import figures

SLOW = pd.DataFrame(
    {
        "trial": [0, 0, 1],
        "label": ["a", "a", "b"],
        "server": ["", "", ""],
        "command": ["EVALSHA fetch", "<b>", "EVALSHA enqueue"],
        "count": [3, 1, 2],
        "worst_ns": [12e6, 11e6, 31e6],
        "total_ns": [30e6, 11e6, 50e6],
    }
)
EVENTS = SLOW.rename(columns={"command": "event"}).drop(columns="total_ns")


def test_the_worst_slow_command_is_named_and_first() -> None:
    block = figures.slow_commands(SLOW, {0: "one", 1: "two"})
    assert block.plain.startswith(
        "Redis logged 6 slow commands; the worst is EVALSHA enqueue, 31.0 ms"
    )
    assert block.html.index("<td>two</td>") < block.html.index("<td>one</td>")
    assert "&lt;b&gt;" in block.html
    assert "server" not in block.html.split("</thead>")[0]


def test_events_of_the_latency_monitor_have_their_worst() -> None:
    block = figures.latency_events(EVENTS.assign(server=["payments", "", ""]))
    assert "EVALSHA enqueue hold the server for 31.0 ms" in block.plain
    assert "<th scope=col>server</th>" in block.html


def test_nothing_is_one_line_each() -> None:
    assert figures.slow_commands(SLOW.iloc[:0]).plain == "Redis logged no slow command."
    assert figures.latency_events(EVENTS.iloc[:0]).plain == ("Redis' latency monitor saw no event.")


def test_rows_beyond_a_dozen_lie_folded() -> None:
    many = pd.concat([SLOW.assign(trial=trial) for trial in range(10)])
    page = figures.slow_commands(many).html
    assert "<summary>18 more rows</summary>" in page
    assert page.count("<tr") == 30 + 2
