"""Python environments for versions of a system, made from what the version itself asks for.

    requirements.lock, requirements.txt    pip installs the file
    pyproject.toml                         pip installs its dependencies, not the project: that is
                                           imported from the version's own tree
    a command of the user's (``setup``)    is run in the tree; it leaves an environment at
                                           $PERFKIT_VENV, or as .venv in the tree

Those of the first two hold packages alone, so one is made for each digest of those files and kept:
versions that ask for the same share it. Where the file names a folder of its version (``-e .``),
it is made for one comparison, since the trees go after it. What a command leaves may hold more of
its version too, so it is kept for that version only, and the command is run each time.
See tests/api/test_virtualenvs.py.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from perfkit.api.requirements import included, names_a_path
from perfkit.errors import ResultsNotWritable, UsageError
from perfkit.redaction import redact

__all__ = ["Recipe", "Tell", "Virtualenv", "recipe_of", "virtualenv"]

_REQUIREMENTS: Final = ("requirements.lock", "requirements.txt")
_PROJECT: Final = "pyproject.toml"
_DECIDING: Final = ("*.txt", "*.lock", "*.toml", "*.cfg", "*.in", "setup.py", "requirements/*")
_PATIENCE_S: Final = 1800.0
_TAIL_LINES: Final = 15
_KEPT: Final = 4
_LEAST_PYTHON: Final = (3, 11)

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How an environment is made: from which file, or by which command."""

    folder: Path
    file: str | None
    setup: str | None
    digest: str
    holds_its_tree: bool = False
    """Whether the environment may hold more of its version than packages from elsewhere."""

    @property
    def name(self) -> str:
        """What people call it."""
        return self.setup if self.setup is not None else str(self.file)


@dataclass(frozen=True, slots=True)
class Virtualenv:
    """An interpreter that can import the system."""

    python: Path
    recipe: str
    digest: str
    was_kept: bool


def recipe_of(tree: Path, folder: Path, version: str, setup: str | None = None) -> Recipe:
    """What a version asks for, looked for from ``folder`` up to the top of its ``tree``.

    Raises:
        UsageError: it asks for nothing that is understood here.
    """
    if setup is not None:
        return Recipe(tree, None, setup, _digest(tree, setup, version), holds_its_tree=True)
    for place in (folder, *folder.parents):
        for name in (*_REQUIREMENTS, _PROJECT):
            if (place / name).is_file():
                file = place / name
                own = name != _PROJECT and names_a_path(file)
                more = () if name == _PROJECT else included(file)
                digest = _digest(place, name, version if own else "", more=more)
                return Recipe(place, name, None, digest, holds_its_tree=own)
        if place == tree:
            break
    raise UsageError(
        f"{version} has no {', '.join(_REQUIREMENTS)} or {_PROJECT}, so its environment is not "
        "known",
        "say how it is made: --setup 'python -m venv \"$PERFKIT_VENV\" && ...'",
    )


@contextlib.contextmanager
def virtualenv(
    recipe: Recipe, tree: Path, version: str, cache: Path, tell: Tell
) -> Iterator[Virtualenv]:
    """The environment of a version, made or found; nobody removes it meanwhile.

    Raises:
        UsageError: it can't be made, or it can't run the system; the tail of its own output.
        ResultsNotWritable: the cache can't.
    """
    home = cache / recipe.digest
    _make_folder(cache)
    with (cache / f"{recipe.digest}.lock").open("ab") as held:
        # Two that measure may use one at the same time, but only one makes it.
        _lock(held, fcntl.LOCK_SH, version, tell)
        if recipe.setup is not None or not (home / "ready").exists():
            _lock(held, fcntl.LOCK_EX, version, tell)
        kept = (home / "ready").exists()
        try:
            if not kept:
                shutil.rmtree(home, ignore_errors=True)
                _make_folder(home)
            if not kept or recipe.setup is not None:
                tell(f"building the environment of {version}: {recipe.name}")
                _make(recipe, tree, home, version)
            python = _python_of(recipe, tree, home, version)
            _check(python, version)
        except BaseException:
            if not kept:
                shutil.rmtree(home, ignore_errors=True)
            raise
        (home / "ready").touch()
        fcntl.flock(held, fcntl.LOCK_SH)
        _forget_old(cache)
        yield Virtualenv(python, recipe.name, recipe.digest, kept)


def _lock(held: IO[bytes], how: int, version: str, tell: Tell) -> None:
    """Also where another process makes it, or measures with it: then it is said, and waited."""
    try:
        fcntl.flock(held, how | fcntl.LOCK_NB)
    except BlockingIOError:
        tell(f"waiting for another process that has the environment of {version}")
        fcntl.flock(held, how)


def _digest(place: Path, *parts: str, more: Sequence[Path] = ()) -> str:
    """Over the files that decide, the interpreter, and what else is given."""
    seen = hashlib.blake2b(digest_size=10)
    seen.update(json.dumps([sys.version, sys.base_prefix, *parts]).encode())
    files = {path for pattern in _DECIDING for path in place.glob(pattern) if path.is_file()}
    named = {os.path.relpath(path, place): path for path in (*files, *more)}
    for name, path in sorted(named.items()):
        content = path.read_bytes()
        seen.update(f"\n{name} {len(content)}\n".encode(errors="replace"))
        seen.update(content)
    return seen.hexdigest()


def _make(recipe: Recipe, tree: Path, home: Path, version: str) -> None:
    venv = home / "venv"
    if recipe.setup is not None:
        _run(["/bin/sh", "-ec", recipe.setup], tree, home, version, recipe.setup)
        return
    file = recipe.folder / str(recipe.file)
    if recipe.file == _PROJECT:
        file = home / "dependencies.txt"
        dependencies = _dependencies(recipe.folder / _PROJECT, version)
        file.write_text("".join(f"{each}\n" for each in dependencies), encoding="utf-8")
    _run([sys.executable, "-m", "venv", str(venv)], tree, home, version, "python -m venv")
    install = [str(venv / "bin" / "python"), "-m", "pip", "install", "--no-input"]
    install += ["--disable-pip-version-check", "-r", str(file)]
    _run(install, recipe.folder, home, version, f"pip install -r {recipe.file}")


def _dependencies(project: Path, version: str) -> Sequence[str]:
    mend = "say how its environment is made with --setup 'COMMAND'"
    try:
        document = tomllib.loads(project.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{_PROJECT} of {version} can't be read: {error}", mend) from None
    table = document.get("project")
    found: Any = table.get("dependencies") if isinstance(table, dict) else None
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        what = f"{_PROJECT} of {version} lists no dependencies under [project]"
        raise UsageError(what, mend)
    return found


def _python_of(recipe: Recipe, tree: Path, home: Path, version: str) -> Path:
    places = [home / "venv" / "bin" / "python"]
    if recipe.setup is not None:
        places.append(tree / ".venv" / "bin" / "python")
    for place in places:
        if place.exists():
            return place
    raise UsageError(
        f"the setup command of {version} left no environment",
        'let it make one at "$PERFKIT_VENV", or as .venv in the tree it is run in',
    )


def _check(python: Path, version: str) -> None:
    """Whether the recorder can run in it."""
    code = "import sys, dramatiq, redis; print(*sys.version_info[:2])"
    command = [str(python), "-c", code]
    try:
        asked = subprocess.run(
            command, cwd="/", env=_plain(), stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=60,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(
            f"the interpreter of {version} can't be run: {error}", "see what it is made from"
        ) from None
    if asked.returncode != 0:
        said = asked.stderr.strip().splitlines()[-1:] or ["it does not say why"]
        raise UsageError(
            f"the environment of {version} can't run workers: {redact(said[0])}",
            "it needs dramatiq and redis; see what it is made from",
        )
    if tuple(map(int, asked.stdout.split())) < _LEAST_PYTHON:
        what = f"the environment of {version} has Python {'.'.join(asked.stdout.split())}"
        raise UsageError(what, "the recorder needs Python 3.11 or newer")


def _run(command: list[str], folder: Path, home: Path, version: str, shown: str) -> None:
    """Run it to its end; whatever it started ends with it.

    Raises:
        UsageError: it failed, or takes too long: the tail of what it said.
    """
    log = home / "build.log"
    environment = _plain() | {"PERFKIT_VENV": str(home / "venv")}
    try:
        with log.open("wb") as written:
            process = subprocess.Popen(
                command, cwd=folder, env=environment, stdin=subprocess.DEVNULL,
                stdout=written, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
    except (OSError, ValueError) as error:  # a NUL in the command
        raise UsageError(f"`{redact(shown)!r}` can't be run: {error}", "mend --setup") from None
    try:
        status: int | None = process.wait(_PATIENCE_S)
    except subprocess.TimeoutExpired:
        status = None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if status != 0:
        how = f"ended with {status}" if status is not None else f"took over {_PATIENCE_S:g} s"
        said = _tail(log.read_text(encoding="utf-8", errors="replace"))
        raise UsageError(
            f"the environment of {version} could not be built: `{redact(shown)}` {how}\n{said}",
            "mend it in that version, or say how it is made with --setup 'COMMAND'",
        )


def _plain() -> dict[str, str]:
    """Our environment without what would make another interpreter look into ours."""
    ours = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PERFKIT_VENV")
    plain = {key: value for key, value in os.environ.items() if key not in ours}
    # `python` is the one that perfkit runs on, unless the command makes its own.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return plain | {"PATH": path}


def _tail(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()][-_TAIL_LINES:]
    shown = "\n".join(f"  | {line}" for line in lines or ["it said nothing"])
    return str(redact(shown))


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResultsNotWritable(
            f"{folder} can't be made: {error.strerror}",
            "choose another folder with --results DIR or PERFKIT_RESULTS",
        ) from None


def _forget_old(cache: Path) -> None:
    """Remove what nobody uses but the newest few: each is some hundred megabytes.

    What a process that was killed did not finish goes first.
    """
    homes = [path for path in cache.iterdir() if path.is_dir()]
    made = sorted(((_made_at(path), path) for path in homes), reverse=True)
    for home in [path for place, (at, path) in enumerate(made) if place >= _KEPT or not at]:
        with (cache / f"{home.name}.lock").open("ab") as held, contextlib.suppress(OSError):
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(home, ignore_errors=True)


def _made_at(home: Path) -> float:
    """When it was last made or taken; 0.0 of one that is not finished."""
    try:
        return (home / "ready").stat().st_mtime
    except OSError:
        return 0.0
