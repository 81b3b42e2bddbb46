"""Secrets of a target, in a header, a query and a body, are sent and in nothing a run leaves."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import unquote

import pytest

import perfkit
from perfkit.redaction import spellings
from tests.answering import answering
from tests.runner.conftest import Start
from tests.safety.test_secrets import CORE, leaks
from tests.soundness import MEASURED

KEY = "Bearer pl4ntedKey"
TOKEN = "pl4ntedToken&é ?"
PASSWORD = "pl4nted\"Password'\\"

SCENARIO = """
name = "secretive-target"
[load]
model = "open"
rate = 30.0
[window]
warmup = "200ms"
duration = "1s"
drain = "5s"
[target]
url = "{url}/login"
method = "POST"
headers = {{ Authorization = {{ env = "TARGET_KEY" }} }}
query = {{ token = {{ env = "TARGET_TOKEN" }} }}
body = {{ who = [{{ name = "ann", password = {{ env = "TARGET_PASSWORD" }} }}] }}
"""


@pytest.mark.parametrize(
    "report", [pytest.param(True, marks=pytest.mark.full), False], ids=["report", "no-report"]
)
def test_they_reach_the_server_and_are_nowhere_else(
    measuring: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, report: bool
) -> None:
    monkeypatch.setenv("TARGET_KEY", KEY)
    monkeypatch.setenv("TARGET_TOKEN", TOKEN)
    monkeypatch.setenv("TARGET_PASSWORD", PASSWORD)
    scenario = tmp_path / "secretive.toml"
    with answering() as server:
        scenario.write_text(SCENARIO.format(url=server.url))
        options = ("--progress", "plain") if report else ("--progress", "plain", "--no-report")
        run = measuring("run", str(scenario), *options)
        assert run.code(180) in MEASURED, run.said()
    assert len(server.asked) > 20
    for each in server.asked:
        assert each.headers["Authorization"] == KEY
        assert each.query == {"token": [TOKEN]}
        assert each.body == {"who": [{"name": "ann", "password": PASSWORD}]}
    assert CORE not in unquote(run.said())
    assert (run.run_folder() / "report.html").is_file() is report
    found = perfkit.open_run(run.run_folder())
    exported = tmp_path / "exported"
    exported.mkdir()
    for form, name in (("csv", "tables"), ("k6", "summary.json"), ("hgrm", "latency.hgrm")):
        perfkit.export_run(found, format=form, output=exported / name)
    if report:  # which an archive needs; what is in it is looked at unpacked
        archive = perfkit.export_run(found, output=tmp_path).path
        perfkit.import_run(archive, results=exported)
    assert leaks(run.results, CORE) == []
    assert leaks(exported, CORE) == []
    kept = json.loads((run.run_folder() / "manifest.json").read_text())
    (document,) = (each["document"] for each in kept["scenarios"].values())
    assert document["target"]["url"] == f"{server.url}/login"


def test_a_secret_is_known_in_all_the_ways_a_request_writes_it() -> None:
    ways = spellings('a b&c"d/é')
    assert {'a b&c"d/é', "a%20b%26c%22d%2F%C3%A9", "a+b%26c%22d%2F%C3%A9"} <= set(ways)
    assert 'a b&c\\"d/\\u00e9' in ways
    assert list(ways) == sorted(ways, key=len, reverse=True)
