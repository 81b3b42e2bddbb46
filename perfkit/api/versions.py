"""Two versions of a system, each in a tree and an environment of its own, for as long as they run.

    results/.baseline/work-…/baseline      the commit that was named
    results/.baseline/work-…/candidate     the working tree as it was at the start: HEAD and changes
    results/.baseline/environments/…       see `perfkit.api.virtualenvs`; kept

Both are made in the same way, so that nothing but their content differs, and the working tree may
be edited while the comparison runs. The trees are removed on leaving, whatever happens; those of a
process that was killed, when the next one begins. What git ignores is in neither tree.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from perfkit.api.repository import Repository, State
from perfkit.api.virtualenvs import Recipe, Tell, Virtualenv, recipe_of, virtualenv
from perfkit.errors import PerfkitError, ResultsNotWritable, UsageError
from perfkit.launcher.interrupts import deferred, terminable
from perfkit.pairs import Arm
from perfkit.scenario import builtins, load_document, parse

__all__ = ["Versions", "versions"]

Value = str | int | float | bool

_SHORT: Final = 10


@dataclass(frozen=True, slots=True)
class Versions:
    """Both arms, ready to be compared."""

    baseline: Arm
    candidate: Arm
    remarks: tuple[str, ...]
    facts: Mapping[str, Any]


@contextlib.contextmanager
def versions(
    scenario: str, ref: str, *, results: Path, setup: str | None = None, tell: Tell
) -> Iterator[Versions]:
    """The commit ``ref`` against the working tree, for one scenario.

    The scenario is that of the working tree in both arms: they get the same work.

    Args:
        scenario: a built-in's name or a path. Its system is in the repository of its file, that of
            a built-in one in the repository of the current directory.
        ref: any name of a commit.
        results: folder for runs.
        setup: command that makes an environment, see `perfkit.api.virtualenvs`.
        tell: gets a line about what is done, as it begins.

    Raises:
        UsageError: there is no such commit, it can't be built, or the system is in no repository.
        ScenarioError: the scenario is not valid.
    """
    place = _place_of(scenario)
    repository = Repository.around(place)
    commit = repository.commit_of(ref)
    state = repository.state(without=results)
    remarks = tuple(_remarks(ref, commit, state, repository))
    for remark in remarks:
        tell(remark)
    home = results / ".baseline"
    with terminable(), _work_folder(home, repository) as work, contextlib.ExitStack() as stack:
        tell(f"checking out {ref} ({commit[:_SHORT]})")
        trees = {"baseline": work / "baseline", "candidate": work / "candidate"}
        repository.check_out(commit, trees["baseline"])
        repository.check_out(state.commit, trees["candidate"])
        repository.copy_changes(state, trees["candidate"])
        names = {
            "baseline": f"{ref} ({commit[:_SHORT]})",
            "candidate": f"the working tree ({state.name})",
        }
        # Equal where both are the same commit: then it is the same system.
        called = {"baseline": commit[:_SHORT], "candidate": state.name}
        made: dict[str, Virtualenv] = {}
        arms: dict[str, Arm] = {}
        for arm, tree in trees.items():
            view = _View(repository.top, tree, place)
            view.check(scenario, names[arm])
            recipe = recipe_of(tree, view.inside(place), names[arm], setup)
            if recipe.digest not in made:
                never_committed = arm == "candidate" and bool(state.changed)
                cache = _cache_of(recipe, never_committed, home, work)
                making = virtualenv(recipe, tree, names[arm], cache, tell)
                made[recipe.digest] = stack.enter_context(making)
            found = made[recipe.digest]
            values = view.values(found.python, called[arm])
            arms[arm] = Arm(name=names[arm], scenario=scenario, values=values)
        facts = {
            "ref": ref,
            "baseline": commit,
            "candidate": state.commit,
            "changed": list(state.changed),
            "environments": {
                each.digest: {"made_from": each.recipe, "kept": each.was_kept}
                for each in made.values()
            },
            "remarks": list(remarks),
        }
        yield Versions(arms["baseline"], arms["candidate"], remarks, facts)


def _place_of(scenario: str) -> Path:
    """The folder whose repository holds the system.

    Raises:
        UsageError: there is no such scenario, or perfkit does not start its system.
    """
    document, _ = load_document(scenario)
    asked = parse(document, scenario)
    if not asked.has_stack:
        raise UsageError(
            f"the system of {scenario} is a server that runs already, of one version",
            "let perfkit start it: name it under [system] and [target] app",
        )
    if asked.build is not None:
        raise UsageError(
            f"{scenario} says under [build] which build runs, and --baseline names another",
            "leave out one of the two",
        )
    return Path.cwd() if scenario in builtins() else Path(scenario).absolute().parent


def _remarks(ref: str, commit: str, state: State, repository: Repository) -> Iterator[str]:
    if state.changed:
        count = len(state.changed)
        yield (
            f"the candidate is the working tree of {repository.top.name}: {state.commit[:_SHORT]} "
            f"with {count} uncommitted {'change' if count == 1 else 'changes'}"
        )
    elif commit == state.commit:
        yield (
            f"{ref} is the commit that is checked out, and nothing is changed: this compares it "
            "with itself (A/A), so whatever is found is a false alarm"
        )
    if nested := [name for name in state.changed if name.endswith("/")]:
        yield f"not in the candidate, since they are repositories of their own: {', '.join(nested)}"
    if (repository.top / ".gitmodules").is_file():
        yield "submodules are in neither tree"


def _cache_of(recipe: Recipe, never_committed: bool, home: Path, work: Path) -> Path:
    """Where an environment is kept: not at all where it is of no commit, or points into its tree.

    A command of the user's is run each time, and so can mend what points into a tree that is gone.
    """
    goes = recipe.holds_its_tree and (recipe.setup is None or never_committed)
    return (work if goes else home) / "environments"


@dataclass(frozen=True, slots=True)
class _View:
    """A tree in the place of the repository."""

    top: Path
    tree: Path
    place: Path

    def inside(self, path: Path) -> Path:
        """Where a path of the repository is in the tree; one outside of it stays."""
        real = path.resolve()
        return self.tree / real.relative_to(self.top) if real.is_relative_to(self.top) else path

    def check(self, scenario: str, name: str) -> None:
        """Whether the sample is there, where it is what runs.

        Raises:
            UsageError: it is not.
        """
        document, _ = load_document(scenario)
        if "system" not in document and not (self.tree / "workers" / "app.py").is_file():
            raise UsageError(
                f"{scenario} measures the sample that comes with perfkit, and there is no "
                f"workers/app.py in {name}",
                "run it in a checkout of perfkit, or name a scenario with [system]: your own",
            )

    def values(self, python: Path, version: str) -> dict[str, Value]:
        """The keys of ``[build]`` that let the system run from this tree.

        Modules are looked for as in any run, beside the scenario and in the working directory, and
        then in PYTHONPATH, at the top and in ``src``, since the project itself is not installed.
        """
        given = [Path(part) for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
        wanted = [self.place, Path.cwd(), *given, self.top, self.top / "src"]
        places = dict.fromkeys(str(self.inside(path)) for path in wanted)
        kept = [each for each in places if Path(each).is_dir()]
        folder = self.inside(Path.cwd())
        return {
            "build.python": str(python),
            **{f"build.path.{number}": each for number, each in enumerate(kept)},
            "build.folder": str(folder if folder.is_dir() else self.tree),
            "build.version": version,
        }


@contextlib.contextmanager
def _work_folder(home: Path, repository: Repository) -> Iterator[Path]:
    """A folder for the trees; removed on leaving, as are those of processes that were killed.

    Raises:
        ResultsNotWritable: it can't be made.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        _sweep(home)
        work = Path(tempfile.mkdtemp(prefix="work-", dir=home)).resolve()
        held = (home / f"{work.name}.lock").open("ab")
        fcntl.flock(held, fcntl.LOCK_EX)
        (work / "repository").write_text(str(repository.top), encoding="utf-8")
    except OSError as error:
        raise ResultsNotWritable(
            f"{home} can't be written: {error.strerror}",
            "choose another folder with --results DIR or PERFKIT_RESULTS",
        ) from None
    with held:
        try:
            yield work
        finally:
            with deferred():
                _clear(work, repository)


def _sweep(home: Path) -> None:
    for work in home.glob("work-*/"):
        lock = home / f"{work.name}.lock"
        with lock.open("ab") as held, contextlib.suppress(OSError, PerfkitError):
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            named = (work / "repository").read_text(encoding="utf-8")
            _clear(work, Repository(Path(named)))


def _clear(work: Path, repository: Repository) -> None:
    for tree in (work / "baseline", work / "candidate"):
        with contextlib.suppress(PerfkitError):
            repository.let_go(tree)
    shutil.rmtree(work, ignore_errors=True)
    (work.parent / f"{work.name}.lock").unlink(missing_ok=True)
