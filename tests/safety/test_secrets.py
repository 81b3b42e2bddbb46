"""Planted secrets are in nothing that a run says, shows to other users, or leaves."""

from __future__ import annotations

import contextlib
import html
import json
import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import redis

from perfkit.launcher.keeper import PREFIX
from tests.conftest import PrivateRedis, private_redis
from tests.leaks import assert_gone, descendants_of, identities
from tests.runner.conftest import ROOT, Start
from tests.soundness import MEASURED
from tests.waiting import wait_until

# A core of letters in each, which no way of writing it changes.
PASSWORD = "pl4ntedPassword@/:?#%é"
VARIABLE = "pl4ntedVariable with 'quotes\""
TOKEN = "pl4ntedToken"
CORE = "pl4nted"

SCENARIO = f"""
name = "secretive"
[system]
broker = "shop.tasks:broker"
env = {{ SHOP_CURRENCY = {json.dumps(VARIABLE)}, SHOP_MOTTO = {json.dumps(VARIABLE)} }}
[load]
via = "enqueue"
model = "open"
rate = 50.0
[window]
warmup = "500ms"
duration = "2s"
drain = "20s"
[[job]]
queue = "images"
actor = "resize"
args = [{{ seeded = "int", low = 1, high = 100000 }}, "s"]
kwargs = {{ owner = "api_token={TOKEN}" }}
[[threshold]]
metric = "latency"
expr = "p(95)<60s"
claimed = "3 ms (token={TOKEN})"
[stack]
preset = "low-latency"
workers = 1
threads = 2
"""


def texts_of(path: Path) -> Iterator[str]:
    """What a file holds, as bytes and as what it means to a reader."""
    text = path.read_bytes().decode(errors="replace")
    yield text
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        yield str(table.schema.metadata)
        for column in table.columns:
            if not pa.types.is_integer(column.type):
                yield repr(column.to_pylist())
    elif path.suffix == ".html":
        yield html.unescape(text)
    elif path.suffix in (".json", ".ipynb"):
        with contextlib.suppress(ValueError):
            yield repr(json.loads(text))


def leaks(folder: Path, core: str) -> list[str]:
    """Files with the secret in them, or in their names."""
    return [
        str(path)
        for path in folder.rglob("*")
        if core in path.name
        or (path.is_file() and any(core in unquote(text) for text in texts_of(path)))
    ]


def command_lines(pids: set[int]) -> str:
    lines = []
    for pid in pids:
        with contextlib.suppress(OSError):
            lines.append(Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace"))
    return unquote("\n".join(lines))


def secretive(server: PrivateRedis) -> str:
    """The server's URL with a password that must be written percent-encoded."""
    with redis.Redis.from_url(server.url) as client:
        client.config_set("requirepass", PASSWORD)
    return f"redis://:{quote(PASSWORD, safe='')}@{server.url.rpartition('@')[2]}"


def test_planted_secrets_are_nowhere(measuring: Start, temporary: Path, tmp_path: Path) -> None:
    scenario = tmp_path / "secretive.toml"
    scenario.write_text(SCENARIO)
    (tmp_path / "shop").symlink_to(ROOT / "tests" / "shop" / "shop")
    with private_redis() as server:
        run = measuring(
            "run", str(scenario), "--redis", secretive(server), "--progress", "plain",
            "--set", f"threshold.0.claimed=3 ms (token={TOKEN})",
        )  # fmt: skip
        run.until_it_says("measuring")
        children = descendants_of(run.process.pid)
        assert CORE not in command_lines(children)
        assert any(".leases" in str(path) for path in run.results.rglob("*.json"))
        assert leaks(run.results / ".leases", CORE) == []
        code = run.code(240)
    assert code in MEASURED, run.said()
    assert CORE not in unquote(run.said())
    folder = run.run_folder()
    assert (folder / "report.html").is_file()
    assert (folder / "logs").is_dir()
    assert measuring("list").code() == 0  # which writes the index
    assert leaks(run.results, CORE) == []
    assert list(temporary.iterdir()) == []
    shown = json.loads((folder / "manifest.json").read_text())
    assert "***" in json.dumps(shown)


@pytest.mark.full
@pytest.mark.parametrize("keeper_too", [False, True], ids=["perfkit", "perfkit-and-its-keeper"])
def test_of_a_run_that_was_killed_no_log_of_the_application_is_left(
    measuring: Start, temporary: Path, tmp_path: Path, keeper_too: bool
) -> None:
    scenario = tmp_path / "secretive.toml"
    scenario.write_text(SCENARIO)
    (tmp_path / "shop").symlink_to(ROOT / "tests" / "shop" / "shop")
    run = measuring("run", str(scenario), "--no-report", "--progress", "plain", "--duration", "60s")
    run.until_it_says("measuring")
    # The application has told its secret, where nobody else may look.
    (told,) = temporary.glob(f"{PREFIX}*/worker-1.log")
    assert CORE in told.read_text()
    assert stat.S_IMODE(told.parent.stat().st_mode) == 0o700
    assert leaks(run.results, CORE) == []
    children = descendants_of(run.process.pid)
    everybody = identities(children)
    if keeper_too:
        (keeper,) = (pid for pid in children if "keeper.py" in command_lines({pid}))
        os.kill(keeper, signal.SIGSTOP)  # or it would be replaced, or do its duty
    run.send(signal.SIGKILL)
    run.code()
    if keeper_too:
        os.kill(keeper, signal.SIGKILL)
        assert measuring("repair").code() == 0
    assert_gone(everybody)
    wait_until(lambda: not list(temporary.iterdir()), 15, "the private folders are removed")
    assert leaks(run.results, CORE) == []
    assert keeper_too or measuring("repair").code() == 0
    assert leaks(run.results, CORE) == []
    folder = run.run_folder()
    assert json.loads((folder / "manifest.json").read_text())["status"] == "partial"


@pytest.mark.full
def test_a_private_redis_keeps_its_password_to_itself(measuring: Start, temporary: Path) -> None:
    run = measuring("run", "smoke", "--no-report", "--warmup", "500ms", "--duration", "2s",
                    "--progress", "plain")  # fmt: skip
    run.until_it_says("measuring")
    (config,) = temporary.glob(f"{PREFIX}*/redis.conf")
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    assert stat.S_IMODE(config.parent.stat().st_mode) == 0o700
    lines = dict(line.split(" ", 1) for line in config.read_text().splitlines() if " " in line)
    assert lines["bind"] == "127.0.0.1"
    assert lines.get("protected-mode", "yes") == "yes"
    password = lines["requirepass"]
    assert len(password) >= 32
    assert password not in command_lines({run.process.pid, *descendants_of(run.process.pid)})
    with (
        redis.Redis(port=int(lines["port"])) as stranger,
        pytest.raises(redis.AuthenticationError),
    ):
        stranger.ping()
    for lease in (run.results / ".leases").glob("*.json"):
        assert stat.S_IMODE(lease.stat().st_mode) == 0o600
    assert run.code(120) in MEASURED, run.said()
    assert password not in run.said()
    assert leaks(run.results, password) == []
    assert not os.path.lexists(config)
