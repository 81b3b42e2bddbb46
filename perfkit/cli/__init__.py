"""The ``perfkit`` command: text, progress and exit codes; every verb is in `perfkit.api`."""

from __future__ import annotations

import errno
import importlib
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import Any, Final

import click

from perfkit import __version__
from perfkit.cli.output import fail
from perfkit.errors import OPEN_FILES, PerfkitError

__all__ = ["cli", "main"]

# A verb's module is imported when the verb is used: what measures loads much, and to list runs is
# to be quick.
_SECTIONS: Final[Mapping[str, Mapping[str, str]]] = {
    "Set up": dict.fromkeys(
        ("doctor", "calibrate", "scenarios", "plan", "completion"), "setting_up"
    ),
    "Measure": dict.fromkeys(("run", "sweep"), "measuring") | {"compare": "comparing"},
    "Read": dict.fromkeys(("report", "list", "show", "history", "export", "import"), "reading"),
    "Operate": dict.fromkeys(("stack", "repair"), "operating") | {"monitor": "monitoring"},
}
_HOMES: Final = {verb: home for verbs in _SECTIONS.values() for verb, home in verbs.items()}


class _Sectioned(click.Group):
    """A group whose help lists its verbs under headings, and that loads only the verb in use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_HOMES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _HOMES:
            return None
        module: Any = importlib.import_module(f"perfkit.cli.{_HOMES[cmd_name]}")
        # Names of Python's own have an underline in their module.
        own = f"{cmd_name}_" if cmd_name in ("import", "list") else cmd_name
        command: click.Command = getattr(module, own)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for heading, verbs in _SECTIONS.items():
            commands = [(verb, self.get_command(ctx, verb)) for verb in verbs]
            with formatter.section(heading):
                formatter.write_dl(
                    [(verb, each.get_short_help_str(70)) for verb, each in commands if each]
                )


@click.group(
    cls=_Sectioned,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 fine, 1 unexpected error, 2 usage, 3 run invalid, 4 worse, "
    "5 inconclusive, 99 thresholds failed, 130 interrupted.",
)
@click.version_option(__version__, "--version", message="perfkit %(version)s")
def cli() -> None:
    """Measure a Dramatiq-on-Redis stack: how fast, why, how many workers."""


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
    except OSError as error:
        if error.errno not in (errno.EMFILE, errno.ENFILE):
            return _unexpected()
        fail(PerfkitError(f"{error.strerror or error}", OPEN_FILES))
        return 1
    except Exception:  # noqa: BLE001 - the last resort: a fault of ours, shown whole
        return _unexpected()
    return answer if isinstance(answer, int) else 0


def _unexpected() -> int:
    traceback.print_exc()
    click.echo("perfkit: an unexpected error, and not one of yours", err=True)
    return 1
