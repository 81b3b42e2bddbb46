"""Keyed draws: every random number is a pure function of what it is for.

``unit(7, 12, "queue")`` gives the same number in every process, in any order of calls and in both
arms of a comparison. They live with the recorder because a child that enqueues jobs draws their
arguments, and it may import nothing of ours from above. The sample system has a module like this of
its own, on purpose: it does not know the instrument.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final

__all__ = ["choice", "drawn", "is_drawn", "job_id", "job_key", "unit"]

_INSIDE: Final = 2**53 - 1
_LETTERS: Final = b"abcdefghijklmnopqrstuvwxyz234567"  # 32, so that a byte draws one evenly
_LETTER_OF: Final = bytes(_LETTERS[number % 32] for number in range(256))


def unit(seed: int | str, *parts: int | str) -> float:
    """A uniform number strictly between 0 and 1, with 53 bits.

    The key is the seed and the parts joined by "/", so ``unit(7, 12, "queue")`` and
    ``unit("7/12", "queue")`` are the same draw.
    """
    key = "/".join(map(str, (seed, *parts)))
    digest = blake2b(key.encode(), digest_size=8).digest()
    # 1 .. 2**53-1 over 2**53: each value is exact in a double, and neither 0 nor 1 can come out.
    return (int.from_bytes(digest, "big") % _INSIDE + 1) / 2**53


def choice(weights: Sequence[float], u: float) -> int:
    """The index that ``u`` in (0, 1) falls on when the line is cut in proportion to ``weights``.

    An index of weight 0 is never chosen.
    """
    left = u * sum(weights)
    chosen = -1
    for index, weight in enumerate(weights):
        if weight <= 0:
            continue
        chosen = index
        left -= weight
        if left < 0:
            return index
    if chosen < 0:
        raise ValueError("no weight is above zero, so nothing can be chosen")
    return chosen  # rounding may leave a last hair of the line uncovered


def job_key(seed: int, seq: int, user: int, iteration: int) -> str:
    """What all draws of a job hang on: its number in an open plan (user -1), else its user's."""
    return f"{seed}/{seq}" if user < 0 else f"{seed}/u{user}/{iteration}"


def job_id(nonce: str, key: str) -> str:
    """The id of a planned job: a version 4 UUID made of the trial's nonce and the draw key.

    The nonce is unique for each trial, so repeats on one Redis don't collide; the key is the same
    in both arms of a comparison.
    """
    digest = bytearray(blake2b(f"{nonce}|{key}".encode(), digest_size=16).digest())
    # The version and variant bits by hand: uuid.UUID costs as much as the rest of a request.
    digest[6] = digest[6] & 0x0F | 0x40
    digest[8] = digest[8] & 0x3F | 0x80
    text = digest.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def is_drawn(value: Any) -> bool:
    """Whether an argument, or a part of it, differs from job to job."""
    if isinstance(value, Mapping):
        return "seeded" in value or any(is_drawn(each) for each in value.values())
    return isinstance(value, list | tuple) and any(is_drawn(each) for each in value)


def drawn(value: Any, key: str, *place: int | str) -> Any:
    """An argument as the job of this key gets it.

    ``place`` is where it stands (actor, position), so that two arguments are two draws; the forms
    of ``value`` are those of `perfkit.scenario.arguments`.
    """
    if isinstance(value, Mapping):
        if "seeded" in value:
            return _KINDS[value["seeded"]](value, key, place)
        return {name: drawn(each, key, *place, name) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [drawn(each, key, *place, index) for index, each in enumerate(value)]
    return value


Place = tuple[int | str, ...]


def _whole(value: Mapping[str, Any], key: str, place: Place) -> int:
    low, high = int(value["low"]), int(value["high"])
    # In whole numbers: a product of floats may reach high + 1.
    return low + int(unit(key, *place) * 2**53) * (high - low + 1) // 2**53


def _number(value: Mapping[str, Any], key: str, place: Place) -> float:
    low, high = float(value["low"]), float(value["high"])
    return min(high, low + unit(key, *place) * (high - low))


def _one_of(value: Mapping[str, Any], key: str, place: Place) -> Any:
    values = value["values"]
    return values[int(unit(key, *place) * 2**53) * len(values) // 2**53]


def _text(value: Mapping[str, Any], key: str, place: Place) -> str:
    length, block = int(value["length"]), "/".join(map(str, (key, *place)))
    parts = (
        blake2b(f"{block}/{number}".encode(), digest_size=64).digest()
        for number in range(-(-length // 64))
    )
    return b"".join(parts)[:length].translate(_LETTER_OF).decode()


def _key(value: Mapping[str, Any], key: str, place: Place) -> str:
    return key


_KINDS: Final[dict[str, Callable[[Mapping[str, Any], str, Place], Any]]] = {
    "int": _whole,
    "float": _number,
    "choice": _one_of,
    "text": _text,
    "key": _key,
}
