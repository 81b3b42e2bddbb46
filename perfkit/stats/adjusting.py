"""Taking a covariate out of paired differences, and leaving the test by sign flips exact."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["slopes_of_others"]

Array = npt.NDArray[np.float64]

_STEEPEST: Final = 2.0


def slopes_of_others(differences: npt.ArrayLike, covariate: npt.ArrayLike) -> Array:
    """For each pair, how far its difference follows its covariate, by the other pairs alone.

    The slope of the line through the origin, sum d c / sum c^2 over all pairs but the one it is
    for, kept within 0 and 2. Then d_i - slope_i c_i is free of what c tells beforehand. Turning a
    pair's arms around changes the sign of both its d and its c, hence no slope, and the sign of
    what is left: flips of signs remain an exact test where arms are alike. Since no pair takes part
    in its own slope, what is left scatters as it would for a pair not seen yet, and intervals from
    it are not too narrow (tests/stats/test_adjusting.py).

    Args:
        differences: shape (pairs,): d, such as the log ratio of what two trials cost.
        covariate: shape (pairs,): c, the log ratio of something both had measured, which what is
            compared can't change.

    Returns: shape (pairs,). 0 where the other pairs tell nothing.

    Raises:
        ValueError: the shapes differ, or a number is not finite.
    """
    d, c = np.asarray(differences, dtype=float), np.asarray(covariate, dtype=float)
    if d.ndim != 1 or d.shape != c.shape:
        raise ValueError(f"differences {d.shape} and covariate {c.shape} are not one for each pair")
    if not (np.isfinite(d).all() and np.isfinite(c).all()):
        raise ValueError("differences and covariate are finite")
    products, squares = d * c, c * c
    rest = squares.sum() - squares
    # Rounding leaves a trace of what was taken away again.
    known = rest > 1e-12 * squares.sum()
    slopes = np.divide(products.sum() - products, rest, out=np.zeros_like(d), where=known)
    kept: Array = np.clip(slopes, 0.0, _STEEPEST)
    return kept
