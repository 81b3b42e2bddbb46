"""From a file, a built-in's name or a mapping to a validated `Scenario`, all errors at once."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
import tomllib
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from perfkit.errors import Problem, ScenarioError, UsageError
from perfkit.paths import exists
from perfkit.scenario.build import placed
from perfkit.scenario.contradictions import contradictions
from perfkit.scenario.load import Load, Phase, Think
from perfkit.scenario.traces import read_trace
from perfkit.scenario.types import Scenario

__all__ = [
    "ALIASES",
    "builtins",
    "digest",
    "load_document",
    "parse",
    "with_values",
    "workload_digest",
]

Document = dict[str, Any]

_BUILTIN = Path(__file__).resolve().parent.parent / "builtin"
_DOTTED = "use the dotted keys of the scenario file, such as stack.workers"
_ADAPTER: TypeAdapter[Scenario] = TypeAdapter(Scenario)

ALIASES = {
    "workers": "stack.workers",
    "threads": "stack.threads",
    "prefetch": "stack.prefetch",
    "preset": "stack.preset",
    "users": "load.users",
    "rate": "load.rate",
    "shards": "load.shards",
    "duration": "window.duration",
    "warmup": "window.warmup",
    "drain": "window.drain",
    "speed": "load.speed",
    "profile": "redis.profile",
}
"""Short names of keys, as flags and in axes."""


def builtins() -> dict[str, Path]:
    """The built-in scenarios by name, sorted."""
    return {path.stem: path for path in sorted(_BUILTIN.glob("*.toml"), key=lambda path: path.stem)}


def load_document(name: str) -> tuple[Document, str]:
    """The raw document of a built-in or a path, and its text.

    Raises:
        UsageError: no such scenario, or not readable.
        ScenarioError: not TOML.
    """
    known = builtins()
    path = known.get(name) or Path(name)
    if name not in known and path.suffix != ".toml" and not exists(path):
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise UsageError(
            f"there is no scenario {name!r}",
            f"{hint}built-in are {', '.join(known)}; or name a file: path/to/scenario.toml",
        )
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UsageError(f"{name} is not UTF-8 text", "save it as UTF-8") from None
    except (OSError, ValueError) as error:  # it may hold a NUL
        why = getattr(error, "strerror", None) or error
        raise UsageError(f"{name!r}: {why}", "name a readable .toml file") from None
    try:
        return _beside(tomllib.loads(text), path), text
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(name, [Problem("file", f"not TOML: {error}")]) from None


def _beside(document: Document, path: Path) -> Document:
    """With the file of a trace where it is found: beside the scenario, or else as it is named.

    The places of ``[build]`` are beside it always.
    """
    load = document.get("load")
    trace = load.get("trace") if isinstance(load, dict) else None
    name = trace.get("file") if isinstance(trace, dict) else None
    if isinstance(trace, dict) and isinstance(name, str) and name:
        found = next((each for each in (path.parent / name, Path(name)) if exists(each)), None)
        if found is not None:
            trace["file"] = str(found.resolve())
    return placed(document, path.parent)


def with_values(document: Mapping[str, Any], values: Mapping[str, Any]) -> Document:
    """A copy of the document with dotted keys set; short names are resolved.

    A list is reached by position (``job.0.weight``); the position after its last makes a new entry
    (``threshold.2.expr`` where there are two). A key with a dot in it is quoted, as in TOML.

    Raises:
        UsageError: when a dotted key leads through something that is not a table, or to a position
            that a list does not have.
    """
    copied: Document = json.loads(json.dumps(document, default=str))
    for given, value in values.items():
        _set(copied, given, _parts(given), value)
    return copied


def _parts(given: str) -> list[str]:
    try:
        place: Any = tomllib.loads(f"{ALIASES.get(given, given)} = 0")
    except tomllib.TOMLDecodeError:
        place = 0
    parts = []
    while isinstance(place, dict) and len(place) == 1:
        [(part, place)] = place.items()
        parts.append(part)
    if place != 0 or not parts:
        raise UsageError(f"{given!r} is no key of a scenario", _DOTTED)
    return parts


def _set(document: Document, given: str, parts: Sequence[str], value: Any) -> None:
    place: Any = document
    for depth, part in enumerate(parts, 1):
        is_list = typing.get_origin(_type_at(parts[:depth])) is tuple
        content: Any = value if depth == len(parts) else [] if is_list else {}
        if isinstance(place, dict):
            place[part] = content if depth == len(parts) else place.get(part, content)
            place = place[part]
        elif isinstance(place, list):
            whole = ".".join(parts[: depth - 1])
            if not part.isdecimal() or int(part) > len(place):
                last = f"it has {len(place)}, so the next is {whole}.{len(place)}"
                raise UsageError(f"{given!r} can't be set: {whole} has no entry {part!r}", last)
            if (index := int(part)) == len(place):
                place.append(content)
            elif depth == len(parts):
                place[index] = content
            place = place[index]
        else:
            what = "it leads through something that is not a table"
            raise UsageError(f"{given!r} can't be set: {what}", _DOTTED)


def parse(document: Mapping[str, Any], source: str) -> Scenario:
    """Validate a document.

    Raises:
        ScenarioError: with every problem found.
    """
    problems: list[Problem] = []
    scenario: Scenario | None = None
    try:
        scenario = _ADAPTER.validate_python(document)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)
        problems.extend(_problem(each) for each in found)
    problems.extend(contradictions(document))
    if problems or scenario is None:
        raise ScenarioError(source, problems)
    if scenario.load.trace is None:
        return scenario
    # Told apart by its content: another one is another load.
    known = read_trace(scenario.load.trace).digest
    return _ADAPTER.validate_python(with_values(document, {"load.trace.digest": known}))


def digest(scenario: Scenario) -> str:
    """SHA-256 over everything that is asked, but the values of the system's environment.

    Those may be secrets, and a weak one could be guessed from a digest of it.
    """
    whole = _lean(scenario)
    if whole["system"] is not None:
        whole["system"]["env"] = sorted(whole["system"]["env"])
    return _sha256(whole)


def workload_digest(scenario: Scenario) -> str:
    """SHA-256 over the work alone: what two arms must share to be compared."""
    whole = _lean(scenario)
    if scenario.load.trace is not None:  # the same times are the same work, wherever they are from
        whole["load"]["trace"] = scenario.load.trace.digest
    # Whether a window's length was written down or is the sum of its phases is the same work.
    whole["window"]["duration_ns"] = scenario.window_ns
    # So is how many processes send it, and when a trial is given up.
    for key in ("shards", "abort_below"):
        whole["load"].pop(key, None)
    work = ("load", "job", "gateway", "window", "seed")
    return _sha256({key: whole[key] for key in (*work, *(["target"] if scenario.target else []))})


def _lean(scenario: Scenario) -> Document:
    """All that is asked; keys that came later are left out where they say nothing.

    So the digest of a scenario that does not use them is what it was before.
    """
    whole = asdict(scenario)
    load = whole["load"]
    if scenario.build is None:
        del whole["build"]
    elif scenario.build.version:  # the same version is the same system, wherever it was put
        whole["build"] = {"version": scenario.build.version}
    if scenario.target is None:
        del whole["target"]
    if scenario.redis.server is None:
        del whole["redis"]["server"]
    for kind, tables in ((Load, [load]), (Think, [load["think"]]), (Phase, load["phase"])):
        later = {each.name: _default(each) for each in fields(kind) if each.name not in _FIRST}
        for table in tables:
            for key in [key for key in later if table[key] == later[key]]:
                del table[key]
    return whole


def _default(field: Any) -> Any:
    """Of a field, by whichever of the two ways it was given."""
    return getattr(field.default, "default", field.default)


_FIRST: Final = frozenset(
    {
        "model",
        "via",
        "rate",
        "arrivals",
        "users",
        "phase",
        "think",
        "pacing_ns",
        "ramp_ns",
        "connections",
        "max_in_flight",
        "timeout_ns",
        "dist",
        "low_ns",
        "high_ns",
        "name",
        "duration_ns",
    }
)
"""Keys that loads, phases and think times have had from the first."""


def _sha256(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def _problem(found: Mapping[str, Any]) -> Problem:
    loc = [part for part in found["loc"] if not _is_branch(part)]
    key = ".".join(str(part) for part in loc)
    if found["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        known = list(_keys_at(loc[:-1]))
        close = difflib.get_close_matches(str(loc[-1]), known, n=1)
        mend = f"did you mean {close[0]!r}?" if close else f"known here: {', '.join(known)}"
        return Problem(key, "unknown key", mend)
    if found["type"] in ("missing", "missing_argument"):
        return Problem(key, "missing")
    what = found["msg"].removeprefix("Value error, ")
    if found["type"] == "literal_error" and isinstance(given := found.get("input"), str):
        close = difflib.get_close_matches(given, re.findall("'([^']*)'", what), n=1)
        return Problem(
            key, f"{what}; got {given!r}", f"did you mean {close[0]!r}?" if close else ""
        )
    secret = loc[:2] == ["system", "env"] or loc[:1] == ["target"]
    shown = None if secret else found.get("input")
    if isinstance(shown, str | int | float) and repr(shown) not in what:
        what = f"{what}; got {shown!r}"
    return Problem(key, what)


def _is_branch(part: object) -> bool:
    # pydantic names the branch of a union in the location; it is no key of the file.
    return isinstance(part, str) and ("[" in part or part in ("function-before", "literal"))


def _keys_at(loc: Sequence[object]) -> Iterator[str]:
    """Keys of the table at a location, as the file spells them."""
    if is_dataclass(kind := _type_at(loc)):
        known = vars(kind)["__pydantic_fields__"]
        yield from sorted(field.alias or name for name, field in known.items())


def _type_at(loc: Sequence[object]) -> Any:
    """The type of a location; None where the types know no such place."""
    kind: Any = Scenario
    for part in loc:
        if is_dataclass(kind):
            attribute = _attribute(kind, str(part))
            kind = typing.get_type_hints(kind).get(attribute) if attribute else None
        elif typing.get_origin(kind) is dict:
            kind = typing.get_args(kind)[1]
        elif typing.get_origin(kind) is tuple:
            kind = typing.get_args(kind)[0]
        else:
            kind = None
        if typing.get_origin(kind) in (types.UnionType, typing.Union):
            branches = typing.get_args(kind)
            kind = next((arg for arg in branches if is_dataclass(arg)), None) or next(
                (arg for arg in branches if typing.get_origin(arg) is tuple), kind
            )
    return kind


def _attribute(kind: Any, key: str) -> str | None:
    known = vars(kind)["__pydantic_fields__"]
    return next((name for name, field in known.items() if key in (name, field.alias)), None)
