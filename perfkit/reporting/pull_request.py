"""A gate as a comment under a pull request: Markdown, the verdict in its first line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from perfkit.verdict import Gate
from perfkit.verdict.gating import Judged

__all__ = ["escaped", "pull_request"]

_HEADS: Final[dict[Gate, str]] = {
    "pass": "PASS: no metric is worse than its margin",
    "regression": "REGRESSION",
    "inconclusive": "INCONCLUSIVE: not enough evidence for a pass, nor for a regression",
}
_MARKS: Final[dict[Gate, str]] = {
    "pass": "pass",
    "regression": "**REGRESSION**",
    "inconclusive": "inconclusive",
}
_ORDER: Final[tuple[Gate, ...]] = ("regression", "inconclusive", "pass")
_MARKUP: Final = re.compile(r"[\\`*_{}\[\]|~$]")
_OPENING: Final = re.compile(r"^(\d{1,9}(?=[.)](?:\s|$))|(?=[-+=](?:\s|$)))")
# Servers find mentions, references and addresses behind a backslash too.
_ENTITIES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;", "#": "&#35;"}
_ADDRESS: Final = re.compile(r":(?=//)|(?<=www)\.", re.IGNORECASE)


def escaped(text: str) -> str:
    """Text that Markdown shows as it is: no markup, no HTML, no link, no mention, one line."""
    plain = "".join(letter for letter in " ".join(text.split()) if letter.isprintable())
    plain = "".join(_ENTITIES.get(letter, letter) for letter in plain)
    plain = _ADDRESS.sub(lambda found: f"&#{ord(found[0])};", plain)
    return _OPENING.sub(r"\1\\", _MARKUP.sub(r"\\\g<0>", plain))


def pull_request(
    title: str,
    metrics: Sequence[Judged],
    gate: Gate,
    *,
    baseline: str,
    candidate: str,
    level: float,
    sentences: Sequence[str],
    remarks: Sequence[str] = (),
) -> str:
    """The whole text.

    Args:
        title: what was measured.
        metrics: what the gate says of each; regressions are shown first.
        gate: of all together.
        baseline: name of the arm compared with.
        candidate: name of the arm judged.
        level: of the intervals, such as 0.99.
        sentences: what the comparison says of itself, its verdict first.
        remarks: what a reader must know before.
    """
    bad = [each.metric for each in metrics if each.gate == "regression"]
    head = f"{_HEADS[gate]}: {', '.join(bad)}" if bad and gate == "regression" else _HEADS[gate]
    shown = sorted(metrics, key=lambda each: _ORDER.index(each.gate))
    lines = [
        f"**perfkit {escaped(title)}: {escaped(head)}**",
        "",
        f"{escaped(candidate)} against {escaped(baseline)}, in interleaved pairs on one machine.",
        *(f"\n> {escaped(remark)}" for remark in remarks),
    ]
    if shown:
        lines += [
            "",
            f"| metric | effect | {100 * level:g} % interval | margin | gate | said |",
            "|---|---:|---:|---:|---|---|",
            *(
                f"| {escaped(each.metric)} | {escaped(each.effect)} | {escaped(each.interval)} | "
                f"{escaped(each.margin)} | {_MARKS[each.gate]} | {escaped(each.outcome)} |"
                for each in shown
            ),
        ]
    lines += ["", *(f"- {escaped(sentence)}" for sentence in sentences)]
    return "\n".join(lines) + "\n"
