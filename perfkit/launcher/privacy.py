"""Logs of somebody's own application, which may say what is secret: the values of its environment.

    while the stack is up    a private folder of mode 0700 that the keeper removes if we are killed
    when it has stopped      the folder that is kept, every secret blotted out on the way

So nothing of a run ever holds a secret, not even of one that was killed: that one has no logs of
the application (`tests/safety/test_secrets.py`). The sample's logs are written where they stay.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator

from perfkit.errors import PerfkitError
from perfkit.launcher.guard import Guard
from perfkit.launcher.spec import StackSpec
from perfkit.redaction import redact_files

__all__ = ["Logs"]


class Logs:
    """Where a stack's logs go; `keep` is for when its processes have ended.

    Args:
        spec: ``secrets`` are known from it; `hide` takes more.
        guard: which clears when we can't.
    """

    def __init__(self, spec: StackSpec, guard: Guard) -> None:
        self._guard = guard
        self._kept = spec.kept_logs
        self._secrets = spec.secrets
        self._private = None if spec.is_sample else guard.make_folder()
        self.spec = dataclasses.replace(spec, private_logs=self._private)
        """The same with the place of its logs."""

    @property
    def folders(self) -> tuple[str, ...]:
        """The private folder, if there is one."""
        return () if self._private is None else (str(self._private),)

    def hide(self, *secrets: str) -> None:
        """These may be in the logs too."""
        self._secrets = (*self._secrets, *secrets)

    def keep(self) -> None:
        """Blot the secrets out, and put the logs where they stay; twice does nothing more.

        Raises:
            ResultsNotWritable: they can't be written there; then they are nowhere.
        """
        if self._private is None:
            return
        # Here, since only foreign applications need it: a stack that is just up loads no store.
        from perfkit.store.durable import writable

        try:
            redact_files(self._private, self._secrets)
            with writable(self._kept):
                for path in sorted(self._private.iterdir()):
                    (self._kept / path.name).write_bytes(path.read_bytes())
        finally:
            self._guard.remove_folder(self._private)
            self._private = None

    @contextlib.contextmanager
    def named_as_kept(self) -> Iterator[None]:
        """An error that tells where a log is tells where it will be when somebody looks."""
        private = self._private
        try:
            yield
        except PerfkitError as error:
            if private is not None:
                error.mend = error.mend.replace(str(private), str(self._kept))
            raise
