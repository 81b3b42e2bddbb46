"""What a requirements file includes, and whether it installs a part of its own version."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfkit.api.requirements import included, names_a_path


def written(folder: Path, **files: str) -> Path:
    """Files by their stem; returns the one that is called requirements."""
    for stem, text in files.items():
        (folder / f"{stem}.txt").write_text(text)
    return folder / "requirements.txt"


def test_included_files_are_found_however_they_are_written(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        requirements="-r one.txt\n--requirement two.txt # it\n--constraint=three.txt\n-cfour.txt\n",
        one="-r requirements.txt\n",  # and back again
        two="", three="", four="dramatiq\n",
    )  # fmt: skip
    names = {path.name for path in included(file)}
    assert names == {"requirements.txt", "one.txt", "two.txt", "three.txt", "four.txt"}


def test_what_is_not_there_or_elsewhere_is_left_to_pip(tmp_path: Path) -> None:
    text = "--require-hashes\n-r gone.txt\n-r https://example.org/all.txt\n# -r two.txt\n"
    file = written(tmp_path, requirements=text, two="")
    assert included(file) == (file,)


@pytest.mark.parametrize(
    "line",
    ["-e .", "-e./lib", "--editable=lib", ".", "./lib[all]", "../lib", "/srv/lib", "lib/core",
     "core @ file:///srv/core", "core-1.0-py3-none-any.whl", "core.tar.gz"],
)  # fmt: skip
def test_a_file_or_folder_that_is_installed_is_seen(tmp_path: Path, line: str) -> None:
    assert names_a_path(written(tmp_path, requirements=f"redis\n{line}\n"))
    assert names_a_path(written(tmp_path, requirements="-r more.txt\n", more=f"{line}\n"))


@pytest.mark.parametrize(
    "line",
    ["", "# -e .", "dramatiq[redis]>=1.17 ; python_version > '3.9'", "--find-links ./wheels",
     "--index-url https://example.org/simple", "core @ https://example.org/core-1.0.tar.gz",
     "git+https://example.org/core.git@main#egg=core", "https://example.org/core-1.0.whl",
     "dramatiq==1.17.0 \\\n    --hash=sha256:ab/cd"],
)  # fmt: skip
def test_what_comes_from_elsewhere_is_none(tmp_path: Path, line: str) -> None:
    assert not names_a_path(written(tmp_path, requirements=f"{line}\n"))
