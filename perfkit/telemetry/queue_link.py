"""What the probes of queues share: a link of their own, the queues, and errors by kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from perfkit.telemetry.redis_link import DEFAULT_TIMEOUT_S, RedisLink

__all__ = ["QueueLink"]


class QueueLink:
    """A probe's side of one server; ``kind`` is its name.

    Args:
        url: of the server.
        queues: those that live there.
        namespace: the broker's key prefix.
    """

    kind: str

    def __init__(
        self,
        url: str,
        queues: Sequence[str],
        *,
        namespace: str = "dramatiq",
        timeout_s: float = DEFAULT_TIMEOUT_S,
        protocol: int = 2,
    ) -> None:
        self._link = RedisLink(
            url, name=f"perfkit-{self.kind}", timeout_s=timeout_s, protocol=protocol
        )
        self._queues = tuple(queues)
        self._namespace = namespace
        self._errors: Counter[str] = Counter()

    @property
    def name(self) -> str:
        """Among the probes of a sampler."""
        return self.kind

    @property
    def errors(self) -> Mapping[str, int]:
        """How often what went wrong."""
        return self._errors

    def close(self) -> None:
        """Give the connection back."""
        self._link.close()
