"""Mistakes of somebody who starts a monitor: one clear error, nothing bound."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfkit.cli import main


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--redis", "nonsense"], ["the Redis URL can't be read", "redis://"]),
        (["--redis", "redis://:se@cret@h:x/0"], ["the Redis URL can't be read"]),
        (["--queue", "a b"], ["'a b' can't be the name of a queue"]),
        (["--threshold", "queue.age"], ["is no threshold", "queue.age:payments max<30s"]),
        (["--heartbeat-timeout", "soon"], ["--heartbeat-timeout"]),
        (["--broker", "nowhere:broker"], ["can't be imported"]),
        (["--broker", "nowhere"], ["names no broker", "shop.tasks:broker"]),
        (["--run", "no-such-run"], ["there is no run 'no-such-run'"]),
        (["--port", "99999"], ["--port"]),
        (["--queue", "mail", "--host", "no.such.host.invalid"], ["no address of this machine"]),
    ],
)
def test_a_mistake_is_named_with_its_mend(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str], words: list[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["monitor", *arguments, "--results", str(tmp_path)])
    out, err = capsys.readouterr()
    assert (caught.value.code, out) == (2, "")
    for word in words:
        assert word in err
    assert "se@cret" not in err
    assert "Traceback" not in err


def test_its_help_names_what_it_serves(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["monitor", "--help"])
    out = capsys.readouterr().out
    for word in ("--redis", "--run", "--broker", "--queue", "--namespace", "/metrics", "--json"):
        assert word in out
