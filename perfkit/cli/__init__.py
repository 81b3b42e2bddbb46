"""The ``perfkit`` command: text, progress and exit codes; every verb is in `perfkit.api`."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import Final

import click

from perfkit import __version__
from perfkit.cli import measuring, operating, reading, setting_up
from perfkit.cli.output import fail
from perfkit.errors import PerfkitError

__all__ = ["cli", "main"]

_SECTIONS: Final[Mapping[str, Sequence[click.Command]]] = {
    "Set up": (setting_up.doctor, setting_up.scenarios, setting_up.plan, setting_up.completion),
    "Measure": (measuring.run, measuring.sweep),
    "Read": (reading.report, reading.list_, reading.show),
    "Operate": (operating.stack, operating.repair),
}


class _Sectioned(click.Group):
    """A group whose help lists its verbs under headings."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for heading, commands in _SECTIONS.items():
            with formatter.section(heading):
                formatter.write_dl(
                    [(each.name or "", each.get_short_help_str(70)) for each in commands]
                )


@click.group(
    cls=_Sectioned,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 fine, 1 unexpected error, 2 usage, 3 run invalid, 5 inconclusive, "
    "99 thresholds failed, 130 interrupted.",
)
@click.version_option(__version__, "--version", message="perfkit %(version)s")
def cli() -> None:
    """Measure a Dramatiq-on-Redis stack: how fast, why, how many workers."""


for _commands in _SECTIONS.values():
    for _command in _commands:
        cli.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    sys.exit(_code(arguments))


def _code(arguments: Sequence[str] | None) -> int:
    try:
        answer = cli.main(
            args=None if arguments is None else list(arguments),
            prog_name="perfkit",
            standalone_mode=False,
        )
    except PerfkitError as error:
        fail(error)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return 2
    except (click.Abort, KeyboardInterrupt):
        click.echo("perfkit: interrupted", err=True)
        return 130
    except BrokenPipeError:
        return 0
    except Exception:  # noqa: BLE001 - the last resort: a fault of ours, shown whole
        traceback.print_exc()
        click.echo("perfkit: an unexpected error, and not one of yours", err=True)
        return 1
    return answer if isinstance(answer, int) else 0
