"""Keyed draws: every random number is a pure function of what it is for.

``unit(7, 12, "queue")`` gives the same number in every process, in any order of calls and in both
arms of a comparison. The system under test has a module like this of its own, on purpose: it does
not know the instrument.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

__all__ = ["choice", "job_id", "unit"]

_INSIDE: Final = 2**53 - 1


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
