"""Values as JSON can say them."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["strict_json"]


def strict_json(value: Any) -> Any:
    """JSON has no NaN and no infinity: what was not measured is null, what never ended a text."""
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    if isinstance(value, dict):
        return {key: strict_json(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [strict_json(each) for each in value]
    return value
