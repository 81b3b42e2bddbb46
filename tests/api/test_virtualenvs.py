"""Environments of versions: made by pip as each asks for, kept, shared, and none left half made."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from perfkit.api.versions import Versions, versions
from perfkit.api.virtualenvs import recipe_of, virtualenv
from perfkit.errors import UsageError
from perfkit.runner.application import inspect_application
from perfkit.scenario import load_document, parse, with_values
from tests.repositories import BORROWED, Repository
from tests.wheels import BACKEND, borrowed

ROOT = Path(__file__).resolve().parents[2]
PROJECT = '[project]\nname = "mill"\nversion = "1"\ndependencies = ["borrowed==1.0"]\n'


@pytest.fixture
def mill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A repository whose requirements pip finds in a folder, and nowhere else."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(borrowed(tmp_path / "wheels")))
    return Repository(tmp_path / "mill")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


def queues_of(both: Versions, mill: Repository, results: Path) -> dict[str, tuple[str, ...]]:
    """What each arm's application says of itself, in its own environment."""
    document, _ = load_document(mill.scenario)
    found = {}
    for arm in ("baseline", "candidate"):
        build = parse(with_values(document, getattr(both, arm).values), arm).build
        found[arm] = inspect_application(
            parse(document, arm).system, mill.top, build, results
        ).queues
    return found


@pytest.mark.full
@pytest.mark.parametrize(
    ("file", "text"),
    [("requirements.lock", "borrowed==1.0\n"), ("requirements.txt", "-r more.txt\n"),
     ("pyproject.toml", PROJECT)],
)  # fmt: skip
def test_pip_makes_what_a_version_asks_for_and_both_arms_share_it(
    mill: Repository, results: Path, file: str, text: str
) -> None:
    mill.write(file, text)
    mill.write("more.txt", "borrowed\n")
    mill.commit()
    mill.write("mill.py", (mill.top / "mill.py").read_text().replace('"corn"', '"oats"'))
    told: list[str] = []
    for turn in ("made", "kept"):
        with versions(mill.scenario, "HEAD", results=results, tell=told.append) as both:
            assert queues_of(both, mill, results) == {"baseline": ("corn",), "candidate": ("oats",)}
            assert both.baseline.values["build.python"] == both.candidate.values["build.python"]
            [environment] = both.facts["environments"].values()
            assert environment == {"made_from": file, "kept": turn == "kept"}
    built = [line for line in told if line.startswith("building")]
    assert len(built) == 1
    assert built[0].endswith(f": {file}")


@pytest.mark.full
def test_a_folder_of_a_version_is_that_versions_own_also_the_next_time(
    mill: Repository, results: Path
) -> None:
    mill.write("requirements.txt", "borrowed\n-e ./lib\n")
    mill.write("lib/backend.py", BACKEND)
    mill.write(
        "lib/pyproject.toml",
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
    )
    source = (mill.top / "mill.py").read_text()
    mill.write("mill.py", "import corn\n" + source.replace('"corn"', "corn.NAME", 1))
    mill.write("lib/corn.py", 'NAME = "rye"\n')
    mill.commit()
    mill.write("lib/corn.py", 'NAME = "oats"\n')
    for _ in range(2):
        with versions(mill.scenario, "HEAD", results=results, tell=lambda _: None) as both:
            assert queues_of(both, mill, results) == {"baseline": ("rye",), "candidate": ("oats",)}
        assert not list((results / ".baseline").glob("environments/*/"))


@pytest.mark.full
@pytest.mark.parametrize(
    ("requirements", "words"),
    [
        ("no-such-package-of-ours==1.0\n", "could not be built"),
        ("", "it needs dramatiq and redis"),
    ],
)
def test_a_version_that_does_not_build_ends_the_gate_and_leaves_nothing(
    mill: Repository, results: Path, requirements: str, words: str
) -> None:
    mill.write("requirements.txt", requirements)
    mill.commit()
    mill.git("tag", "broken")
    mill.write("requirements.txt", "borrowed\n")
    mill.commit()
    before = mill.untouched()
    done = subprocess.run(
        [sys.executable, "-m", "perfkit", "compare", mill.scenario, "--baseline", "broken",
         "--gate", "--results", str(results)],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert "the environment of broken (" in done.stderr
    assert "Traceback" not in done.stderr
    assert mill.untouched() == before
    assert sorted(path.name for path in results.glob("*/*")) == ["environments"]
    assert not list((results / ".baseline" / "environments").glob("*/"))


def made(mill: Repository, cache: Path, told: list[str]) -> Path:
    """The home of an environment that was made by a command."""
    recipe = recipe_of(mill.top, mill.top, "one", setup=BORROWED)
    with virtualenv(recipe, mill.top, "one", cache, told.append) as found:
        assert found.python.is_file()
    return cache / recipe.digest


def test_what_a_killed_process_left_half_made_is_removed_unless_somebody_holds_it(
    mill: Repository, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    for name in ("left", "held"):
        (cache / name / "venv").mkdir(parents=True)
    with (cache / "held.lock").open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        home = made(mill, cache, [])
        assert {path.name for path in cache.iterdir() if path.is_dir()} == {"held", home.name}


def test_the_newest_environments_are_kept_and_older_ones_go(
    mill: Repository, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    for age in range(6):
        ready = cache / f"old-{age}" / "ready"
        ready.parent.mkdir(parents=True)
        ready.touch()
        os.utime(ready, (1_000_000 - age,) * 2)
    home = made(mill, cache, [])
    kept = {path.name for path in cache.iterdir() if path.is_dir()}
    assert kept == {home.name, "old-0", "old-1", "old-2"}


def test_an_included_file_decides_too(mill: Repository, tmp_path: Path) -> None:
    mill.write("sub/requirements.txt", "-r ../base/all.txt\n")
    mill.write("base/all.txt", "dramatiq\n")
    folder = mill.top / "sub"
    before = recipe_of(mill.top, folder, "one").digest
    assert recipe_of(mill.top, folder, "two").digest == before  # whichever version asks
    mill.write("base/all.txt", "dramatiq<2\n")
    assert recipe_of(mill.top, folder, "one").digest != before


def test_a_version_that_asks_for_nothing_is_told_how_to(mill: Repository) -> None:
    with pytest.raises(UsageError, match=r"one has no requirements\.lock") as told:
        recipe_of(mill.top, mill.top, "one")
    assert "--setup" in told.value.mend


@pytest.mark.parametrize(
    ("text", "words"),
    [("[project\n", "can't be read"), ('[project]\nname = "x"\n', "lists no dependencies"),
     ("[project]\ndependencies = 3\n", "lists no dependencies")],
)  # fmt: skip
def test_a_project_that_does_not_say_what_it_needs_is_refused(
    mill: Repository, tmp_path: Path, text: str, words: str
) -> None:
    mill.write("pyproject.toml", text)
    recipe = recipe_of(mill.top, mill.top, "one")
    with (
        pytest.raises(UsageError, match=words),
        virtualenv(recipe, mill.top, "one", tmp_path / "cache", lambda _: None),
    ):
        pass
    assert not list((tmp_path / "cache").glob("*/"))
