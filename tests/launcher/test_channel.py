"""Talking with the owner of a stack from another process, or failing to in a clear way."""

from __future__ import annotations

import dataclasses
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from perfkit.errors import NotReady, StackError, UsageError
from perfkit.launcher import channel as module
from perfkit.launcher.channel import Channel, asked
from perfkit.launcher.lease import Lease
from tests.waiting import wait_until


def echo(request: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    match request["do"]:
        case "refuse":
            raise UsageError("not that", "something else")
        case "fail":
            raise NotReady("not yet", "wait")
        case "count":
            yield from ({"n": n, "over": n == 2} for n in range(3))
        case "break off":
            yield {"n": 0}


@pytest.fixture
def lease(tmp_path: Path) -> Iterator[Lease]:
    channel = Channel(echo)
    # Longer than any path of a socket may be, and no matter.
    folder = tmp_path / ("long" * 40)
    yield dataclasses.replace(Lease.mine(folder, None), channel=channel.name)
    channel.close()
    assert not [each for each in threading.enumerate() if each.name == "perfkit-channel"]


def test_a_request_is_answered_line_by_line(lease: Lease) -> None:
    assert [answer["n"] for answer in asked(lease, {"do": "count"})] == [0, 1, 2]
    assert [answer["n"] for answer in asked(lease, {"do": "count"})] == [0, 1, 2]


def test_a_refusal_arrives_as_it_was_raised(lease: Lease) -> None:
    with pytest.raises(UsageError, match="not that") as refused:
        list(asked(lease, {"do": "refuse"}))
    assert refused.value.mend == "something else"
    with pytest.raises(NotReady, match="not yet"):
        list(asked(lease, {"do": "fail"}))


def test_what_is_no_request_is_refused(lease: Lease) -> None:
    with pytest.raises(UsageError, match="not a request"):
        list(asked(lease, {}))


def test_an_answer_that_is_broken_off_is_an_error(lease: Lease) -> None:
    answers = asked(lease, {"do": "break off"})
    assert next(answers) == {"n": 0}
    with pytest.raises(StackError, match="went down meanwhile"):
        next(answers)


def test_whoever_goes_away_disturbs_nobody(lease: Lease) -> None:
    answers = asked(lease, {"do": "count"})
    next(answers)
    answers.close()
    assert len(list(asked(lease, {"do": "count"}))) == 3


def test_a_stack_that_is_gone_says_so(tmp_path: Path) -> None:
    channel = Channel(echo)
    lease = dataclasses.replace(Lease.mine(tmp_path, None), channel=channel.name)
    channel.close()
    with pytest.raises(UsageError, match=f"stack {lease.id} is gone"):
        list(asked(lease, {"do": "count"}))
    with pytest.raises(UsageError, match="can't be talked to"):
        list(asked(dataclasses.replace(lease, channel=None), {"do": "count"}))


def test_somebody_else_under_the_name_of_a_stack_is_not_believed(lease: Lease) -> None:
    impostor = dataclasses.replace(lease, owner_pid=os.getppid())
    with pytest.raises(UsageError, match="is gone"):
        list(asked(impostor, {"do": "count"}))


def test_a_stack_that_does_not_answer_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ANSWER_TIMEOUT_S", 0.1)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as silent:
        silent.bind("\0perfkit-test-silent")
        silent.listen()
        lease = dataclasses.replace(Lease.mine(tmp_path, None), channel="perfkit-test-silent")
        with pytest.raises(StackError, match="does not answer"):
            list(asked(lease, {"do": "count"}))


def test_another_user_is_not_answered(lease: Lease, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_peer", lambda _: (lease.owner_pid, os.geteuid() + 1))
    # It hangs up; whether the request was out by then is a matter of microseconds.
    with pytest.raises((StackError, UsageError), match=r"went down|is gone"):
        list(asked(lease, {"do": "count"}))


def test_where_there_can_be_no_such_socket_a_stack_is_measured_nevertheless(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Forbidden(socket.socket):
        def bind(self, _address: object) -> None:
            raise PermissionError

    monkeypatch.setattr(module.socket, "socket", Forbidden)
    channel = Channel(echo)
    assert channel.name is None
    channel.close()


def test_closing_waits_for_nobody_who_says_nothing(lease: Lease) -> None:
    other = Channel(echo)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as mute:
        mute.connect(f"\0{other.name}")
        wait_until(lambda: len(other._threads) == 2, 5, "it is being listened to")
        other.close()
    wait_until(lambda: not any(t.is_alive() for t in other._threads), 5, "it has given up")
