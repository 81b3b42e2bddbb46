"""A small application in a git repository of its own, and environments that need no network."""

from __future__ import annotations

import os
import shlex
import site
import subprocess
import sysconfig
from pathlib import Path

APPLICATION = """
import os
import dramatiq
from dramatiq.brokers.redis import RedisBroker

broker = RedisBroker(url=os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0"), namespace="mill")
dramatiq.set_broker(broker)
GRIND = {grind}


@dramatiq.actor(queue_name="corn")
def mill(number: int) -> int:
    for _ in range(GRIND):
        number = hash((number, "corn"))
    return number
"""

SCENARIO = """
name = "mill"
seed = 3
[system]
broker = "mill:broker"
[load]
via = "enqueue"
model = "open"
rate = 40.0
[[job]]
queue = "corn"
actor = "mill"
args = [{ seeded = "int", low = 1, high = 1000 }]
[stack]
preset = "low-latency"
workers = 1
threads = 2
"""

# An environment with nothing of its own, that finds the packages of this one.
BORROWED = (
    'python -m venv --without-pip "$PERFKIT_VENV" && echo {packages} > '
    '"$("$PERFKIT_VENV/bin/python" -c "import sysconfig; print(sysconfig.get_path(\'purelib\'))")"'
    "/borrowed.pth"
).format(packages=shlex.quote(sysconfig.get_path("purelib") or site.getsitepackages()[0]))
"""A setup command."""


class Repository:
    """A git repository with one application."""

    def __init__(self, top: Path) -> None:
        self.top = top
        top.mkdir(parents=True, exist_ok=True)
        self.git("init", "--quiet", "--initial-branch=main")
        self.write("mill.toml", SCENARIO)
        self.grind(1)

    @property
    def scenario(self) -> str:
        """Path of its scenario."""
        return str(self.top / "mill.toml")

    def git(self, *arguments: str) -> str:
        """Run git in it."""
        who = {
            "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull,
            **{f"GIT_{role}_{what}": value
               for role in ("AUTHOR", "COMMITTER")
               for what, value in (("NAME", "Ann"), ("EMAIL", "ann@example.org"))},
        }  # fmt: skip
        kept = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
        return subprocess.run(
            ["git", "-C", str(self.top), *arguments],
            env=kept | who, check=True, capture_output=True, text=True,
        ).stdout.strip()  # fmt: skip

    def write(self, name: str, text: str) -> None:
        """A file, its folder made."""
        path = self.top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def grind(self, rounds: int) -> None:
        """The application, with this much work for a job; not committed."""
        self.write("mill.py", APPLICATION.format(grind=rounds))

    def commit(self, message: str = "more") -> str:
        """All there is; returns the commit."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD")

    def untouched(self) -> tuple[str, ...]:
        """What a look from outside sees of it: HEAD, index, files, branches, worktrees."""
        index = (self.top / ".git" / "index").read_bytes().hex()
        files = sorted(
            f"{path} {path.stat().st_mtime_ns}"
            for path in self.top.rglob("*")
            if path.is_file() and ".git" not in path.parts and "results" not in path.parts
        )
        told = [
            self.git("rev-parse", "HEAD"),
            self.git("branch", "-a"),
            self.git("worktree", "list"),
        ]
        return (*told, index, *files)
