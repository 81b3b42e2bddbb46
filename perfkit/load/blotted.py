"""What user code prints, without the secrets that its target takes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TextIO

from perfkit.redaction import redact

__all__ = ["Blotted"]


class Blotted(io.TextIOBase):
    """A text stream that blots secrets out of each piece before it is written.

    It stands for stdout, too: that of a generator is read by its parent, line by line.
    """

    def __init__(self, stream: TextIO, secrets: Sequence[str]) -> None:
        self._stream = stream
        self._secrets = tuple(secrets)

    def write(self, text: str) -> int:
        """Write it, blotted; the length is that of what was given."""
        self._stream.write(str(redact(text, *self._secrets)))
        return len(text)

    def flush(self) -> None:
        """Pass it on."""
        self._stream.flush()

    def fileno(self) -> int:
        """Of the stream behind."""
        return self._stream.fileno()

    def writable(self) -> bool:
        """It is."""
        return True
