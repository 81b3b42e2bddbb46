"""The gate of a pipeline: is this version worse than that one by more than is allowed?

Non-inferiority (statistics.md, Decisions 3): a pass is proved, as a regression is, and whatever
lies between is inconclusive. Both versions are measured here, now, and in turns.
"""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from perfkit.errors import ResultsNotWritable, UsageError
from perfkit.paths import is_folder, results_root

# The reading wing is imported when all is measured: pandas beside a measurement is part of it.
if TYPE_CHECKING:
    from perfkit.api.compared import Compared
    from perfkit.api.runs import Run
    from perfkit.api.virtualenvs import Tell
    from perfkit.verdict import Gate
    from perfkit.verdict.gating import Judged

__all__ = [
    "LEVEL",
    "Gated",
    "against",
    "decide",
    "enough",
    "gate",
    "ready_to_write",
    "summary_again",
]

LEVEL: Final = 0.99
"""Of the intervals that a gate judges by."""
_EXIT: Final = {"pass": 0, "regression": 4, "inconclusive": 5}


@dataclass(frozen=True, slots=True)
class Gated:
    """A comparison, decided, and where that was written."""

    compared: Compared
    decision: Gate
    metrics: tuple[Judged, ...]
    summary: Path
    junit: Path | None

    @property
    def exit_code(self) -> int:
        """0 pass, 4 regression, 5 inconclusive; 130 where it was interrupted."""
        return 130 if _interrupted(self.compared) else _EXIT[self.decision]

    def document(self) -> dict[str, Any]:
        """The comparison's, and ``gate`` with what was decided and where it was written."""
        metrics = [
            {
                "metric": each.metric,
                "gate": each.gate,
                "outcome": each.outcome,
                "effect": each.effect,
                "interval": each.interval,
                "margin": each.margin,
            }
            for each in self.metrics
        ]
        return self.compared.document() | {
            "gate": {
                "decision": self.decision,
                "level": self.compared.comparison.level,
                "metrics": metrics,
                "summary": str(self.summary),
                "junit": None if self.junit is None else str(self.junit),
            }
        }

    def text(self) -> str:
        """For a person: the decision, the evidence, and where it is written."""
        lines = ["", f"gate: {self.decision}", *(f"  - {each}" for each in _remarks(self.compared))]
        lines += [f"  - {sentence}" for sentence in self.compared.sentences()]
        run = self.compared.run
        lines += ["", f"report:  {run.report}" if run.report else f"run:     {run.path}"]
        lines += [f"summary: {self.summary}"]
        return "\n".join([*lines, *([f"junit:   {self.junit}"] if self.junit else [])])


def gate(
    scenario: str,
    *,
    baseline: str,
    setup: str | None = None,
    junit: str | os.PathLike[str] | None = None,
    results: str | os.PathLike[str] | None = None,
    say: Tell | None = None,
    **options: Any,
) -> Gated:
    """Compare the working tree with a commit of its repository, and decide.

    ``junit``: file for JUnit XML. Other arguments, and errors, as `against`.
    """
    target = ready_to_write(junit)
    options = {"level": LEVEL, **options, "gate": True}
    enough(options.get("pairs"), options["level"])
    compared = against(
        scenario, baseline=baseline, setup=setup, results=results, say=say, **options
    )
    return decide(compared, junit=target)


def against(
    scenario: str,
    *,
    baseline: str,
    setup: str | None = None,
    results: str | os.PathLike[str] | None = None,
    say: Tell | None = None,
    **options: Any,
) -> Compared:
    """Compare the working tree (B) with a commit of its repository (A).

    Args:
        scenario: a built-in's name or a path; as it is in the working tree, for both.
        baseline: a name of the commit, such as ``origin/main``.
        setup: a command that makes a version's environment, see `perfkit.api.virtualenvs`.
        results: folder for runs.
        say: gets a line about what is done before the first trial.
        options: as `perfkit.api.comparing.compare_arms`.

    Raises:
        UsageError: what `perfkit.api.versions.versions` refuses, or the application of a version
            can't be imported; nothing was measured, and nothing is left.
    """
    from perfkit.api.comparing import compare_arms
    from perfkit.api.versions import versions

    root = results_root(results)
    with versions(
        scenario, baseline, results=root, setup=setup, tell=say or (lambda _: None)
    ) as both:
        return compare_arms(
            both.baseline, both.candidate, results=root, facts=both.facts, **options
        )


def decide(compared: Compared, *, junit: str | os.PathLike[str] | None = None) -> Gated:
    """Judge a comparison, and write ``summary.md`` into its folder and JUnit XML where asked.

    Raises:
        UsageError, ResultsNotWritable: they can't be written.
    """
    target = ready_to_write(junit)
    decision, metrics = _decided(compared)
    summary = compared.path / "summary.md"
    _write(summary, _summary(compared, decision, metrics))
    if target is not None:
        _write(target, _junit(compared, decision, metrics))
    return Gated(compared, decision, metrics, summary, target)


def summary_again(run: Run) -> str:
    """What ``summary.md`` holds of the run of a gate.

    Raises:
        NotARun: it is no comparison, or what was asked can't be read.
    """
    from perfkit.api.compared import open_comparison

    compared = open_comparison(run)
    return _summary(compared, *_decided(compared))


def _decided(compared: Compared) -> tuple[Gate, tuple[Judged, ...]]:
    from perfkit.verdict import gate as gate_of
    from perfkit.verdict.gating import judged

    why = _cut_short(compared) or compared.downgraded
    return (
        "inconclusive" if why else gate_of(compared.comparison),
        judged(compared.comparison, why),
    )


def _cut_short(compared: Compared) -> str | None:
    """Why the pairs that are there decide nothing: somebody may have seen enough of them."""
    missing, asked = compared.attempts.unmeasured, compared.asked.pairs
    if missing:
        return f"The gate was cut short, {missing} of {asked} pairs were not measured"
    return "The gate was interrupted" if _interrupted(compared) else None


def _interrupted(compared: Compared) -> bool:
    manifest = compared.manifest
    return manifest["status"] == "partial" and manifest.get("reason") == "interrupted"


def _summary(compared: Compared, decision: Gate, metrics: tuple[Judged, ...]) -> str:
    """A comment for a pull request."""
    from perfkit.reporting.pull_request import pull_request

    return pull_request(
        _title(compared),
        metrics,
        decision,
        baseline=compared.baseline,
        candidate=compared.candidate,
        level=compared.comparison.level,
        sentences=compared.sentences(),
        remarks=_remarks(compared),
    )


def _junit(compared: Compared, decision: Gate, metrics: tuple[Judged, ...]) -> str:
    from perfkit.reporting.junit import junit

    manifest = compared.manifest
    created, sealed = manifest["created_ns"], manifest["sealed_ns"]
    properties = {
        "baseline": compared.baseline,
        "candidate": compared.candidate,
        "decision": decision,
        "level": f"{compared.comparison.level:g}",
        "pairs": str(compared.comparison.pairs),
        "run": compared.run.run_id,
        "report": "report.html" if compared.run.report else "",
    }
    return junit(
        _title(compared),
        metrics,
        decision,
        sentences=(*_remarks(compared), *compared.sentences()),
        properties={key: value for key, value in properties.items() if value},
        began_s=created / 1e9,
        took_s=((sealed or created) - created) / 1e9,
    )


def _title(compared: Compared) -> str:
    """The scenario's name; of two of them both."""
    names = dict.fromkeys(trial.get("scenario", "") for trial in compared.manifest.get("plan", ()))
    return " v ".join(name for name in names if name) or str(compared.manifest["name"])


def _remarks(compared: Compared) -> tuple[str, ...]:
    return tuple(compared.facts.get("remarks", ()))


def enough(pairs: int | None, level: float = LEVEL) -> None:
    """Whether so many pairs can decide a gate; None is the usual number.

    Raises:
        UsageError: neither a pass nor a regression could come of them.
    """
    from perfkit.pairs import PAIRS
    from perfkit.stats.flips import smallest_p

    least = next(number for number in itertools.count(2) if smallest_p(number) <= 1 - level)
    if (wanted := PAIRS if pairs is None else pairs) < least:
        raise UsageError(
            f"a gate of {wanted} pairs can decide nothing at {100 * level:g} %",
            f"ask for {least} or more, with --pairs",
        )


def ready_to_write(junit: str | os.PathLike[str] | None) -> Path | None:
    """The file to write, its folder made: to be found out before anything is measured.

    Raises:
        UsageError: it can't be written.
    """
    if junit is None:
        return None
    try:
        target = Path(junit).expanduser().absolute()
        if is_folder(target):
            raise IsADirectoryError(None, "it is a folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(target if target.exists() else target.parent, os.W_OK):
            raise PermissionError(None, "it can't be written")
    except (OSError, ValueError, RuntimeError) as error:
        why = getattr(error, "strerror", None) or error
        raise UsageError(
            f"--junit {os.fspath(junit)!r}: {why}", "name a file that can be written"
        ) from None
    return target


def _write(target: Path, text: str) -> None:
    try:
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ResultsNotWritable(
            f"{target} can't be written: {error.strerror}", "free some space, or name another file"
        ) from None
