"""The user's git repository: which commit a name means, and that commit in a folder of its own.

The checkout, its index and its HEAD are only read. What is checked out becomes a linked worktree
(`git worktree`), detached, so that commands which ask git for their version are answered there; it
is unlinked again when it is not needed any more.
"""

from __future__ import annotations

import difflib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from perfkit.errors import UsageError
from perfkit.redaction import redact

__all__ = ["Repository", "State"]

_PATIENCE_S: Final = 600.0
_SHORT: Final = 10


@dataclass(frozen=True, slots=True)
class State:
    """What the working tree is: its commit, and the paths in which it differs from it."""

    commit: str
    changed: tuple[str, ...]

    @property
    def name(self) -> str:
        """The commit, short, and whether there are changes."""
        return f"{self.commit[:_SHORT]}{' with changes' if self.changed else ''}"


@dataclass(frozen=True, slots=True)
class Repository:
    """A checkout by its top folder."""

    top: Path

    @classmethod
    def around(cls, place: Path) -> Repository:
        """The repository that a folder is in.

        Raises:
            UsageError: it is in none, or git can't be used.
        """
        answer = _git(place, "rev-parse", "--show-toplevel")
        if answer.returncode != 0 or not answer.stdout.strip():
            raise UsageError(
                f"{place} is not in the working tree of a git repository: {_words(answer)}",
                "run it where the system under test is checked out, or compare two scenarios: "
                "perfkit compare A B",
            )
        return cls(Path(answer.stdout.rstrip("\n")).resolve())

    def commit_of(self, ref: str) -> str:
        """The commit that a name means.

        Raises:
            UsageError: there is none of that name here.
        """
        if ref.strip() and not ref.startswith("-") and "\x00" not in ref:
            answer = _git(self.top, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
            if answer.returncode == 0:
                return answer.stdout.strip()
        if self._is_shallow():
            raise UsageError(
                f"there is no commit {ref!r} in {self.top}, which is a shallow clone",
                "fetch the whole history (`git fetch --unshallow`; in a workflow `fetch-depth: 0`)",
            )
        close = difflib.get_close_matches(ref, names := self._names(), n=1, cutoff=0.5)
        close = [name for name in names if name.endswith(f"/{ref}")][:1] or close
        hint = f"did you mean {close[0]!r}?" if close else "`git branch -a` and `git tag` list them"
        raise UsageError(f"there is no commit {ref!r} in {self.top}", hint)

    def state(self, without: Path | None = None) -> State:
        """The working tree as it is; ``without``: a folder whose new files do not count.

        Raises:
            UsageError: it has no commit yet, that folder is all of it, or git can't tell.
        """
        head = _git(self.top, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
        if head.returncode != 0:
            raise UsageError(f"{self.top} has no commit yet", "commit what there is first")
        found = self._changed("--untracked-files=no")
        outside = []
        if without is not None and without.resolve().is_relative_to(self.top):
            relative = without.resolve().relative_to(self.top)
            if not relative.parts:
                raise UsageError(
                    f"runs are kept in {self.top} itself, so its new files can't be told from them",
                    "choose a folder of their own with --results DIR or PERFKIT_RESULTS",
                )
            outside = ["--", ".", f":(exclude,top,literal){relative.as_posix()}"]
        found |= self._changed("--untracked-files=all", *outside)
        return State(head.stdout.strip(), tuple(sorted(found)))

    def check_out(self, commit: str, folder: Path) -> None:
        """A commit into a new folder, linked to this repository; hooks are not run.

        Raises:
            UsageError: git can't do it; in its own words.
        """
        self._must("worktree", "add", "--detach", "--force", "--quiet", str(folder), commit)

    def copy_changes(self, state: State, folder: Path) -> None:
        """Bring a checkout of the state's commit to what the working tree is.

        Raises:
            UsageError: a file can't be read.
        """
        for name in state.changed:
            source, target = self.top / name, folder / name
            if _beyond_a_link(target, folder):
                continue  # a folder became a link: what was in it is gone with it
            try:
                if target.is_symlink() or target.is_file():
                    target.unlink()
                elif target.is_dir() and (source.is_symlink() or source.is_file()):
                    shutil.rmtree(target)
                if source.is_symlink() or source.is_file():
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(source, target, follow_symlinks=False)
            except OSError as error:
                raise UsageError(
                    f"{name} of the working tree can't be copied: {error.strerror}",
                    "make it readable, ignore it, or commit what is to be measured",
                ) from None

    def let_go(self, folder: Path) -> None:
        """Remove a folder of `check_out`, and the link to it. Never fails."""
        _git(self.top, "worktree", "remove", "--force", "--force", str(folder))
        shutil.rmtree(folder, ignore_errors=True)
        # Where the folder was gone already, git knows only now that it can forget it.
        if str(folder) in _git(self.top, "worktree", "list", "--porcelain").stdout:
            _git(self.top, "worktree", "prune")

    def _changed(self, *arguments: str) -> set[str]:
        """Paths that differ from HEAD."""
        changes = self._must(
            "status", "--porcelain=v1", "-z", "--no-renames", "--ignore-submodules=all", *arguments
        )
        # Each is two letters, a space, and a path that ends with a NUL.
        return {each[3:] for each in changes.split("\0") if each}

    def _names(self) -> list[str]:
        listed = _git(
            self.top, "for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/remotes",
            "refs/tags",
        )  # fmt: skip
        return listed.stdout.split()

    def _is_shallow(self) -> bool:
        return _git(self.top, "rev-parse", "--is-shallow-repository").stdout.strip() == "true"

    def _must(self, *arguments: str) -> str:
        answer = _git(self.top, *arguments)
        if answer.returncode != 0:
            raise UsageError(
                f"`git {arguments[0]}` failed in {self.top}: {_words(answer)}",
                "mend what git says, and try again",
            )
        return answer.stdout


def _beyond_a_link(path: Path, folder: Path) -> bool:
    """Whether a way leads out of a folder: what is behind a link must not be written to."""
    parents = path.relative_to(folder).parents
    return any((folder / each).is_symlink() for each in parents if each.parts)


def _words(answer: subprocess.CompletedProcess[str]) -> str:
    lines = [line.removeprefix("fatal: ") for line in answer.stderr.splitlines() if line.strip()]
    return redact("; ".join(lines[-3:])) or "it does not say why"


def _environment() -> Iterator[tuple[str, str]]:
    """Inside a git hook GIT_DIR and the like point elsewhere; what says who we are is kept."""
    for name, value in os.environ.items():
        if not name.startswith("GIT_") or name.startswith(("GIT_SSH", "GIT_CONFIG", "GIT_TRACE")):
            yield name, value


def _git(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    settings = ("-c", f"core.hooksPath={os.devnull}", "-c", "advice.detachedHead=false")
    try:
        return subprocess.run(
            ["git", *settings, "-C", str(place), *arguments],
            env=dict(_environment()) | {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0",
                                        "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            start_new_session=True,
            timeout=_PATIENCE_S,
        )  # fmt: skip
    except FileNotFoundError:
        raise UsageError(
            "there is no git on PATH", "install git, or compare two scenarios"
        ) from None
    except (OSError, ValueError) as error:
        raise UsageError(f"git can't be run: {error}", "see that it works here") from None
    except subprocess.TimeoutExpired:
        what = f"`git {arguments[0]}` took longer than {_PATIENCE_S:g} s"
        raise UsageError(what, "see what git waits for") from None
