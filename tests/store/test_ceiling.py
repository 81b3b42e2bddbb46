"""What the generator can do is kept for the machine and the versions it was measured with."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from perfkit.errors import ResultsNotWritable
from perfkit.store import list_runs
from perfkit.store.ceiling import Ceiling, ceiling_path, keep_ceiling, kept_ceiling

VERSIONS = {"perfkit": "0.1.0", "uvloop": "0.23.0"}
CEILING = Ceiling(
    requests_per_s_per_core=24_000.5,
    connections=64,
    at_ns=1_700_000_000_000_000_000,
    date="2023-11-14T22:13:20+00:00",
    versions=VERSIONS,
)


def test_a_ceiling_is_read_back_as_it_was_kept(tmp_path: Path) -> None:
    path = keep_ceiling(tmp_path, "f00", CEILING)
    assert path == tmp_path / ".host" / "f00" / "generator.json"
    assert kept_ceiling(tmp_path, "f00", VERSIONS) == CEILING


def test_the_newest_one_counts(tmp_path: Path) -> None:
    keep_ceiling(tmp_path, "f00", CEILING)
    keep_ceiling(tmp_path, "f00", replace(CEILING, requests_per_s_per_core=9.0))
    kept = kept_ceiling(tmp_path, "f00", VERSIONS)
    assert kept is not None
    assert kept.requests_per_s_per_core == 9.0


def test_another_machine_or_other_versions_have_none(tmp_path: Path) -> None:
    keep_ceiling(tmp_path, "f00", CEILING)
    assert kept_ceiling(tmp_path, "f01", VERSIONS) is None
    assert kept_ceiling(tmp_path, "f00", {**VERSIONS, "uvloop": "1.0"}) is None
    assert kept_ceiling(tmp_path, "f00", {"perfkit": "0.1.0"}) is None


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "[]",
        "{}",
        '{"requests_per_s_per_core": "many"}',
        *(
            json.dumps(
                {
                    "requests_per_s_per_core": rate,
                    "connections": 64,
                    "at_ns": 0,
                    "date": "",
                    "versions": VERSIONS,
                }
            )
            for rate in (0, -1, None, "9", float("nan"), float("inf"))
        ),
    ],
)
def test_a_damaged_one_counts_as_none(tmp_path: Path, damage: str) -> None:
    path = ceiling_path(tmp_path, "f00")
    path.parent.mkdir(parents=True)
    path.write_text(damage)
    assert kept_ceiling(tmp_path, "f00", VERSIONS) is None


def test_a_folder_that_takes_no_file_is_named() -> None:
    with pytest.raises(ResultsNotWritable, match="--results"):
        keep_ceiling(Path("/proc/perfkit-results"), "f00", CEILING)


def test_it_is_no_run(tmp_path: Path) -> None:
    keep_ceiling(tmp_path, "f00", CEILING)
    assert list_runs(tmp_path) == []
