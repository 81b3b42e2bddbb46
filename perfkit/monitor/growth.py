"""How fast things grow: differences of what is counted, over the last seconds."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Final

__all__ = ["Growth"]

_SPAN_NS: Final = 5_000_000_000


class Growth:
    """Rates by key, each over about the last five seconds; keys not seen for a while are gone."""

    def __init__(self) -> None:
        self._seen: dict[Hashable, deque[tuple[int, float]]] = {}

    def rate(self, key: Hashable, at_ns: int, value: float | None) -> float | None:
        """Per second; None until two readings exist, and after a gap."""
        if value is None:
            self._seen.pop(key, None)
            return None
        seen = self._seen.setdefault(key, deque())
        seen.append((at_ns, value))
        while len(seen) > 2 and at_ns - seen[1][0] >= _SPAN_NS:
            seen.popleft()
        (start_ns, start), (end_ns, end) = seen[0], seen[-1]
        return (end - start) * 1e9 / (end_ns - start_ns) if end_ns > start_ns else None

    def counted(self, key: Hashable, at_ns: int, value: float | None) -> float | None:
        """The same of a counter: one that fell has begun anew, and nothing is known of it."""
        seen = self._seen.get(key)
        if seen and value is not None and value < seen[-1][1]:
            seen.clear()
        return self.rate(key, at_ns, value)

    def forget(self, now_ns: int) -> None:
        """Let go of what was not seen lately."""
        for key in [key for key, seen in self._seen.items() if now_ns - seen[-1][0] > 2 * _SPAN_NS]:
            del self._seen[key]
