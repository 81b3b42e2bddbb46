"""The profiles as files; that servers run with them is seen in test_redis.py."""

from __future__ import annotations

import pytest

from perfkit.errors import UsageError
from perfkit.launcher.profile import Profile, most_clients
from perfkit.launcher.redis import EXTRAS
from perfkit.paths import profile_path, profiles

ALL = ["aof-always", "aof-everysec", "lru-4gb", "no-persistence", "stock"]


def test_the_profiles_are_these() -> None:
    assert profiles() == ALL


@pytest.mark.parametrize("name", ALL)
def test_every_line_of_a_profile_says_what_it_buys_and_risks(name: str) -> None:
    blocks = profile_path(name).read_text().strip().split("\n\n")
    assert blocks[0].startswith(f"# {name}: ")
    settings = 0
    for block in blocks:
        lines = block.splitlines()
        set_here = [line for line in lines if not line.startswith("#")]
        if set_here:
            comment = "\n".join(line for line in lines if line.startswith("#"))
            assert len(set_here) == 1
            assert "# Buys: " in comment
            assert "# Risks: " in comment
            settings += 1
    assert settings == len(Profile.load(name).settings) >= 5


@pytest.mark.parametrize("name", ALL)
def test_a_profile_never_contradicts_what_perfkit_adds(name: str) -> None:
    settings = Profile.load(name).settings
    assert {key: settings[key] for key in EXTRAS if key in settings}.items() <= EXTRAS.items()


def test_the_one_that_loses_jobs_says_so() -> None:
    text = " ".join(profile_path("lru-4gb").read_text().replace("#", " ").split())
    assert "LOSES JOBS" in text
    assert "Keys go as a whole" in text or "keys go as a whole" in text


@pytest.mark.parametrize(
    ("name", "persistent"),
    [("stock", True), ("aof-everysec", True), ("aof-always", True), ("no-persistence", False)],
)
def test_which_write_to_a_disk(name: str, persistent: bool) -> None:
    assert Profile.load(name).persistent is persistent


def test_profiles_of_a_pair_differ_in_what_their_head_says() -> None:
    everysec, always = (Profile.load(f"aof-{name}").settings for name in ("everysec", "always"))
    assert {key for key in everysec if everysec[key] != always[key]} == {"appendfsync"}
    plain = Profile.load("no-persistence").settings
    shared = set(plain) & set(everysec)
    assert {key for key in shared if plain[key] != everysec[key]} == {"appendonly"}


def test_an_unknown_one_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="no Redis profile 'fast'") as caught:
        Profile.load("fast")
    assert all(name in caught.value.mend for name in ALL)


def test_what_a_server_did_not_take_is_told_and_sizes_are_the_same_however_written() -> None:
    profile = Profile.load("lru-4gb")
    got = {
        **profile.settings,
        "maxmemory": str(4 * 2**30),
        "maxclients": "4064",
        "io-threads": "1",
    }
    del got["save"]  # not told
    threads, clients = profile.shortfalls(got)
    assert threads == "the profile lru-4gb asks for io-threads 4, the server has 1"
    assert "asks for 50\u202f000 clients, the server allows 4\u202f064" in clients
    assert "ulimit -Hn" in clients


def test_the_profile_that_asks_for_most_clients_is_known() -> None:
    assert most_clients() == ("lru-4gb", 50_000)
