"""Two versions of a repository beside each other, and nothing of them left."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from perfkit.api.versions import Versions, versions
from perfkit.errors import UsageError
from perfkit.runner.application import inspect_application
from perfkit.scenario import load_document, parse, with_values
from tests.repositories import BORROWED, Repository
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def mill(tmp_path: Path) -> Repository:
    """Two commits: jobs of one round, tagged old, then of two."""
    made = Repository(tmp_path / "mill")
    made.commit("first")
    made.git("tag", "old")
    made.grind(2)
    made.commit("second")
    return made


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


def tree_of(both: Versions, arm: str) -> Path:
    return Path(str(getattr(both, arm).values["build.path.0"]))


def left_of(results: Path) -> list[str]:
    """What is there of versions, but for environments that are kept."""
    home = results / ".baseline"
    return sorted(path.name for path in home.iterdir() if path.name != "environments")


def test_the_baseline_is_the_commit_and_the_candidate_the_working_tree(
    mill: Repository, results: Path
) -> None:
    mill.grind(3)
    mill.write("new/file.txt", "new")
    (mill.top / "mill.toml").touch()
    before, said = mill.untouched(), []
    with versions(mill.scenario, "old", results=results, setup=BORROWED, tell=said.append) as both:
        assert "GRIND = 1" in (tree_of(both, "baseline") / "mill.py").read_text()
        candidate = tree_of(both, "candidate")
        assert "GRIND = 3" in (candidate / "mill.py").read_text()
        assert (candidate / "new" / "file.txt").read_text() == "new"
        assert not (tree_of(both, "baseline") / "new").exists()
        assert both.facts["changed"] == ["mill.py", "new/file.txt"]
        assert both.facts["baseline"] == mill.git("rev-parse", "old")
    assert mill.untouched() == before
    assert left_of(results) == []
    assert any("with 2 uncommitted changes" in line for line in said)


def test_each_is_imported_from_its_own_tree_by_its_own_interpreter(
    mill: Repository, results: Path
) -> None:
    mill.write("mill.py", (mill.top / "mill.py").read_text().replace('"corn"', '"oats"'))
    document, _ = load_document(mill.scenario)
    with versions(
        mill.scenario, "old", results=results, setup=BORROWED, tell=lambda _: None
    ) as both:
        found = {}
        for arm in ("baseline", "candidate"):
            values = getattr(both, arm).values
            build = parse(with_values(document, values), arm).build
            system = parse(document, arm).system
            found[arm] = inspect_application(system, mill.top, build, results)
            assert Path(str(values["build.python"])).is_relative_to(results)
    assert found["baseline"].queues == ("corn",)
    assert found["candidate"].queues == ("oats",)
    assert found["baseline"].versions["dramatiq"]


def test_a_deleted_file_is_deleted_and_a_link_stays_a_link(mill: Repository, results: Path) -> None:
    mill.write("gone.txt", "here")
    mill.commit()
    (mill.top / "gone.txt").unlink()
    (mill.top / "link").symlink_to("mill.py")
    with versions(
        mill.scenario, "HEAD", results=results, setup=BORROWED, tell=lambda _: None
    ) as both:
        candidate = tree_of(both, "candidate")
        assert not (candidate / "gone.txt").exists()
        assert (candidate / "link").is_symlink()
        assert (tree_of(both, "baseline") / "gone.txt").read_text() == "here"


def test_files_folders_and_links_may_take_each_others_place(
    mill: Repository, results: Path, tmp_path: Path
) -> None:
    for name in ("one/x.txt", "two/x.txt", "three"):
        mill.write(name, "committed")
    mill.commit()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x.txt").write_text("not of the repository")
    shutil.rmtree(mill.top / "one")
    (mill.top / "one").write_text("a file now")
    shutil.rmtree(mill.top / "two")
    (mill.top / "two").symlink_to(outside)
    (mill.top / "three").unlink()
    mill.write("three/x.txt", "a folder now")
    with versions(
        mill.scenario, "HEAD", results=results, setup=BORROWED, tell=lambda _: None
    ) as both:
        candidate, baseline = tree_of(both, "candidate"), tree_of(both, "baseline")
        assert (candidate / "one").read_text() == "a file now"
        assert (candidate / "two").readlink() == outside
        assert (candidate / "three" / "x.txt").read_text() == "a folder now"
        assert (baseline / "two" / "x.txt").read_text() == "committed"
    assert (outside / "x.txt").read_text() == "not of the repository"


def test_repositories_within_are_named_as_left_out(mill: Repository, results: Path) -> None:
    Repository(mill.top / "vendor").commit()
    mill.write(".gitmodules", "")
    with versions(mill.scenario, "old", results=results, setup=BORROWED, tell=lambda _: None) as it:
        told = " ".join(it.remarks)
        assert "not in the candidate, since they are repositories of their own: vendor/" in told
        assert "submodules are in neither tree" in told


def test_the_same_commit_without_changes_is_said_to_be_the_same(
    mill: Repository, results: Path
) -> None:
    with versions(
        mill.scenario, "main", results=results, setup=BORROWED, tell=lambda _: None
    ) as both:
        assert "A/A" in both.remarks[0]
        versions_of = [
            getattr(both, arm).values["build.version"] for arm in ("baseline", "candidate")
        ]
        assert len(set(versions_of)) == 1


def test_results_in_the_repository_are_no_change_of_it(mill: Repository) -> None:
    results = mill.top / "results"
    (results / "mill").mkdir(parents=True)
    (results / "mill" / "manifest.json").write_text("{}")
    with versions(
        mill.scenario, "main", results=results, setup=BORROWED, tell=lambda _: None
    ) as both:
        assert both.facts["changed"] == []
    assert left_of(results) == []


def test_what_is_committed_among_the_results_and_was_changed_is_a_change(mill: Repository) -> None:
    mill.write("results/README.md", "old")
    mill.commit()
    mill.write("results/README.md", "new")
    mill.write("results/mill/manifest.json", "{}")
    with versions(
        mill.scenario, "HEAD", results=mill.top / "results", setup=BORROWED, tell=lambda _: None
    ) as both:
        assert both.facts["changed"] == ["results/README.md"]


def test_results_that_are_all_of_the_repository_are_refused(mill: Repository) -> None:
    with (
        pytest.raises(UsageError, match="runs are kept in"),
        versions(mill.scenario, "old", results=mill.top, setup=BORROWED, tell=lambda _: None),
    ):
        pass


def test_hooks_and_the_variables_of_a_hook_have_no_effect(
    mill: Repository, results: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hook = mill.top / ".git" / "hooks" / "post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/hooked\n")
    hook.chmod(0o755)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    with versions(mill.scenario, "old", results=results, setup=BORROWED, tell=lambda _: None):
        pass
    assert not (tmp_path / "hooked").exists()


@pytest.mark.parametrize(
    ("ref", "said"),
    [("olt", "did you mean 'old'"), ("--all", "there is no commit"), ("", "there is no commit"),
     ("a\x00b", "there is no commit"), ("HEAD~9", "there is no commit")],
)  # fmt: skip
def test_a_commit_that_is_not_there_is_refused(
    mill: Repository, results: Path, ref: str, said: str
) -> None:
    with (
        pytest.raises(UsageError, match=said),
        versions(mill.scenario, ref, results=results, setup=BORROWED, tell=lambda _: None),
    ):
        pass


def test_a_shallow_clone_without_the_commit_says_how_to_get_it(
    mill: Repository, results: Path, tmp_path: Path
) -> None:
    clone = tmp_path / "clone"
    url = mill.top.as_uri()
    subprocess.run(["git", "clone", "--quiet", "--depth=1", url, str(clone)], check=True)
    with (
        pytest.raises(UsageError, match="unshallow"),
        versions(
            str(clone / "mill.toml"), "HEAD~1", results=results, setup=BORROWED,
            tell=lambda _: None,
        ),
    ):  # fmt: skip
        pass


def test_a_folder_that_is_no_repository_is_refused(
    mill: Repository, results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    alone = tmp_path / "alone" / "mill.toml"
    alone.parent.mkdir()
    alone.write_bytes(Path(mill.scenario).read_bytes())
    with (
        pytest.raises(UsageError, match="not in the working tree of a git repository"),
        versions(str(alone), "old", results=results, tell=lambda _: None),
    ):
        pass


def test_the_sample_is_asked_for_where_there_is_none(
    mill: Repository, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(mill.top)
    with (
        pytest.raises(UsageError, match=r"workers/app\.py"),
        versions("smoke", "old", results=results, setup=BORROWED, tell=lambda _: None),
    ):
        pass
    assert left_of(results) == []


def test_an_environment_that_can_not_be_built_shows_its_own_words_and_leaves_nothing(
    mill: Repository, results: Path
) -> None:
    before = mill.untouched()
    with (
        pytest.raises(UsageError, match=r"(?s)ended with 3.*\| no such package"),
        versions(
            mill.scenario, "old", results=results, setup="echo no such package; exit 3",
            tell=lambda _: None,
        ),
    ):  # fmt: skip
        pass
    assert left_of(results) == []
    assert not list((results / ".baseline" / "environments").glob("*/"))
    assert mill.untouched() == before


KILLED = """
    import sys
    from pathlib import Path
    from perfkit.api.versions import versions
    from tests.repositories import BORROWED

    with versions(sys.argv[1], "old", results=Path(sys.argv[2]), setup=BORROWED, tell=print):
        print("up", flush=True)
        sys.stdin.read()
"""


@pytest.fixture
def holder(mill: Repository, results: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds two versions until it is ended."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(KILLED), mill.scenario, str(results)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert process.stdout is not None
    while process.stdout.readline() not in ("up\n", ""):
        pass
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_nothing_behind(
    mill: Repository, results: Path, holder: subprocess.Popen[str], number: signal.Signals
) -> None:
    assert len(list(mill.top.glob(".git/worktrees/*"))) == 2
    holder.send_signal(number)
    assert holder.wait(20) != 0
    assert left_of(results) == []
    assert not list(mill.top.glob(".git/worktrees/*"))


def test_what_a_killed_process_left_is_gone_when_the_next_one_begins(
    mill: Repository, results: Path, holder: subprocess.Popen[str]
) -> None:
    holder.kill()
    wait_until(lambda: holder.poll() is not None, 10, "it is dead")
    assert len(left_of(results)) == 2
    with versions(mill.scenario, "old", results=results, setup=BORROWED, tell=lambda _: None):
        assert len(list(mill.top.glob(".git/worktrees/*"))) == 2
    assert left_of(results) == []
    assert not list(mill.top.glob(".git/worktrees/*"))


def test_those_that_are_in_use_stay_when_another_one_begins(
    mill: Repository, results: Path, holder: subprocess.Popen[str]
) -> None:
    there = set(left_of(results))
    with versions(
        mill.scenario, "main", results=results, setup=f"true && {BORROWED}", tell=lambda _: None
    ):
        assert there < set(left_of(results))
    assert set(left_of(results)) == there
