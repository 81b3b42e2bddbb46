"""The gate of ``perfkit compare``: its options, what they exclude, and how it ends."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from perfkit.cli.output import emit
from perfkit.errors import UsageError

if TYPE_CHECKING:
    from perfkit.api.compared import Compared

__all__ = ["Asked", "gate_options"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the options of a gate say."""

    gate: bool
    baseline: str | None
    setup: str | None
    junit: str | None

    def check(self, arms: Sequence[str], in_one_arm: Sequence[str], pairs: int | None) -> None:
        """Whether the options go together, and the JUnit file can be written.

        Raises:
            UsageError: they don't.
        """
        from perfkit.api.gating import enough, ready_to_write

        if self.junit is not None and not self.gate:
            raise UsageError("--junit says what a gate decided", "add --gate")
        if self.setup is not None and self.baseline is None:
            raise UsageError("--setup makes the environment of a commit", "add --baseline REF")
        if self.baseline is not None:
            if len(arms) != 1:
                raise UsageError(
                    f"--baseline compares a commit with the working tree under one scenario; "
                    f"{len(arms)} were named",
                    "write perfkit compare SCENARIO --baseline REF",
                )
            if in_one_arm:
                raise UsageError(
                    "--set-a and --set-b make the arms differ in more than their version",
                    "set it in both, with --set",
                )
        if self.gate:
            enough(pairs)
        ready_to_write(self.junit)

    def refuse(self, what: str) -> None:
        """No gate, and no commit, for what was measured before.

        Raises:
            UsageError: one was asked for.
        """
        if self.gate or self.baseline is not None:
            raise UsageError(
                f"a gate can't decide on {what}",
                "leave out --gate and --baseline, or name a scenario",
            )

    @property
    def asked(self) -> dict[str, Any]:
        """What is asked of the comparison otherwise than of one that is no gate."""
        from perfkit.api.gating import LEVEL

        return {"level": LEVEL, "gate": True} if self.gate else {}

    def against(self, scenario: str) -> Callable[..., Compared]:
        """What compares the working tree with the baseline."""
        from perfkit.api.gating import against

        return functools.partial(
            against,
            scenario,
            baseline=str(self.baseline),
            setup=self.setup,
            say=lambda line: click.echo(line, err=True),
        )

    def decided(self, compared: Compared, as_json: bool) -> int:
        """Decide, write, tell; returns the exit code."""
        from perfkit.api.gating import decide

        found = decide(compared, junit=self.junit)
        emit(found.document(), as_json, "" if as_json else found.text())
        return found.exit_code


def gate_options(function: Callable[..., int]) -> Callable[..., int]:
    """``--gate``, ``--baseline``, ``--setup`` and ``--junit``, as one argument ``gating``."""

    @functools.wraps(function)
    def gathered(
        *, gate: bool, baseline: str | None, setup: str | None, junit: str | None, **options: Any
    ) -> int:
        asked = Asked(gate=gate, baseline=baseline, setup=setup, junit=junit)
        return function(gating=asked, **options)

    for option in (
        click.option("--junit", metavar="FILE", help="What the gate decided, as JUnit XML."),
        click.option(
            "--setup", metavar="CMD", help='Makes the environment of a version at "$PERFKIT_VENV".'
        ),
        click.option(
            "--baseline", metavar="REF", help="Compare the working tree with this commit."
        ),
        click.option(
            "--gate", is_flag=True, help="Pass (0), regression (4) or inconclusive (5), at 99 %."
        ),
    ):
        gathered = option(gathered)
    return gathered
