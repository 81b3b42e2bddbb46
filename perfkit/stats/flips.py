"""The exact test of paired differences: all their signs flipped, every metric at once.

Where two arms do not differ, the difference of a pair is as likely to be d as -d, and that holds
for all metrics of the pair together: a flip keeps their dependence. The largest statistic over the
metrics under each flip is what chance alone can do (Westfall and Young 1993, max-T; step-down as
in their Algorithm 2.8; Romano and Wolf 2005 on why it controls the family-wise rate).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["MOST_EXACT", "TIE", "max_t_sign_flip", "sign_flips", "smallest_p"]

Array = npt.NDArray[np.float64]

MOST_EXACT: Final = 16
"""Pairs of which every flip is tried."""
_FLIPS: Final = 2**13  # of more pairs, drawn at random
_MOST_BLOCKS: Final = 256
_CHUNK: Final = 2048
TIE: Final = 1e-9
"""A sum in another order may miss the observed one by so much; of vectors whose length is 1."""


def max_t_sign_flip(differences: npt.ArrayLike, *, seed: int = 1) -> Array:
    """Adjusted two-sided p of each metric: its mean difference is zero, among all metrics.

    Up to 16 pairs every flip is tried and p is exact: no smaller than 2^(1 - pairs). Of more pairs
    8,191 random flips and the observed signs are tried, of more than 256 pairs with the signs of
    neighbouring pairs flipped together, which is a group of flips too and so just as honest. The
    statistic is Student's t, here in a form of the same order that needs one product: flips keep
    the sum of squares.

    Args:
        differences: shape (pairs, metrics), or (pairs,) for one metric; finite, in any unit. A
            metric known by order alone is given as its signed ranks.
        seed: of the random flips.

    Returns:
        Shape (metrics,), each 0 < p <= 1. A metric whose differences are all zero has p = 1.

    Raises:
        ValueError: there is no pair or no metric, or a difference is not finite.
    """
    table = np.asarray(differences, dtype=np.float64)
    if table.ndim == 1:
        table = table[:, None]
    if table.ndim != 2 or not table.size:
        raise ValueError(f"differences must be pairs x metrics, not of shape {table.shape}")
    if not np.isfinite(table).all():
        raise ValueError("differences must be finite; leave out a metric that was not observed")
    largest = np.abs(table).max(axis=0)
    scaled = table / np.where(largest > 0, largest, 1.0)  # squares must not overflow or vanish
    lengths = np.sqrt((scaled**2).sum(axis=0))
    units = _blocks(scaled / np.where(lengths > 0, lengths, 1.0))
    observed = np.abs(units.sum(axis=0))
    order = np.argsort(-observed, kind="stable")
    units, observed = units[:, order], observed[order]
    reached, flips = np.zeros(len(observed)), 0
    for signs in sign_flips(len(units), seed):
        found = np.abs(signs @ units)
        # Down the order, a metric competes with itself and with those less extreme than it.
        rivals = np.maximum.accumulate(found[:, ::-1], axis=1)[:, ::-1]
        reached += (rivals >= observed - TIE).sum(axis=0)
        flips += len(signs)
    adjusted = np.empty(len(observed))
    adjusted[order] = np.maximum.accumulate(reached / flips)
    return adjusted


def smallest_p(pairs: int) -> float:
    """The smallest p that so many pairs can have, whatever they differ by."""
    return 2.0 ** (1 - pairs) if pairs <= MOST_EXACT else 1 / _FLIPS


def _blocks(units: Array) -> Array:
    """Sums of neighbouring pairs that flip together, where there are very many."""
    if len(units) <= _MOST_BLOCKS:
        return units
    starts = np.linspace(0, len(units), _MOST_BLOCKS, endpoint=False).astype(np.int64)
    return np.add.reduceat(units, starts, axis=0)


def sign_flips(pairs: int, seed: int) -> Iterator[Array]:
    """Chunks of flips, (flips, pairs) of +1 and -1, the observed signs among them.

    The first pair keeps its sign: the statistic is the same for a flip and its mirror image.
    """
    if pairs <= MOST_EXACT:
        bits = (np.arange(2 ** (pairs - 1))[:, None] >> np.arange(pairs - 1)) & 1
    else:
        bits = np.random.default_rng(seed).integers(0, 2, size=(_FLIPS, pairs - 1), dtype=np.int8)
        bits[0] = 0
    for place in range(0, len(bits), _CHUNK):
        signs = 1.0 - 2.0 * bits[place : place + _CHUNK]
        yield np.hstack([np.ones((len(signs), 1)), signs])
