"""Small tables that are asked for again and again: made once of a sealed run."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec

import pandas as pd

__all__ = ["kept"]

Asked = ParamSpec("Asked")


def kept(make: Callable[Asked, pd.DataFrame]) -> Callable[Asked, pd.DataFrame]:
    """Make a table once per run and arguments; whoever asks has a copy to change."""
    made = functools.lru_cache(maxsize=64)(make)

    @functools.wraps(make)
    def copied(*args: Asked.args, **kwargs: Asked.kwargs) -> pd.DataFrame:
        return made(*args, **kwargs).copy()  # type: ignore[arg-type]

    return copied
