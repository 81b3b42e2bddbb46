"""A gate as JUnit XML, the form in which CI servers read test results.

    pass            a testcase
    regression      a testcase with <failure>
    inconclusive    a testcase with <error>: the question was not answered, and the exit code is 5

One testcase for each metric; one for the comparison as a whole where there is no metric. The order
of elements and the attributes are those that the common schemas (Ant, Jenkins, Maven Surefire)
share; tests/reporting/test_junit.py holds them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from xml.etree import ElementTree

from perfkit.verdict import Gate
from perfkit.verdict.gating import Judged

__all__ = ["junit"]

# XML 1.0 has no way to write these, not even escaped.
_UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(
    name: str,
    metrics: Sequence[Judged],
    gate: Gate,
    *,
    sentences: Sequence[str],
    properties: Mapping[str, str],
    began_s: float,
    took_s: float,
) -> str:
    """The document, UTF-8 with its declaration.

    Args:
        name: of the suite, such as the scenario's.
        metrics: what the gate says of each.
        gate: of all together.
        sentences: what the comparison says of itself, its verdict first.
        properties: facts about it, shown beside it by some servers.
        began_s: when, in seconds since 1970.
        took_s: how long it took.
    """
    cases = [_case(name, each) for each in metrics] or [_whole(name, gate, sentences)]
    suite = ElementTree.Element(
        "testsuite",
        {
            "name": _text(f"perfkit.{name}"),
            "tests": str(len(cases)),
            "failures": str(sum(case.find("failure") is not None for case in cases)),
            "errors": str(sum(case.find("error") is not None for case in cases)),
            "skipped": "0",
            "time": f"{max(took_s, 0.0):.3f}",
            "timestamp": datetime.fromtimestamp(began_s, UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        },
    )
    if properties:
        listed = ElementTree.SubElement(suite, "properties")
        for key, value in sorted(properties.items()):
            ElementTree.SubElement(listed, "property", name=_text(key), value=_text(value))
    suite.extend(cases)
    ElementTree.SubElement(suite, "system-out").text = _text("\n".join(sentences))
    counts = ("tests", "failures", "errors", "time")
    suites = ElementTree.Element("testsuites", {key: suite.attrib[key] for key in counts})
    suites.append(suite)
    ElementTree.indent(suites)
    body = ElementTree.tostring(suites, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'


def _case(suite: str, judged: Judged) -> ElementTree.Element:
    case = _testcase(suite, judged.metric)
    message = f"{judged.effect} ({judged.interval}; margin {judged.margin})"
    if judged.gate == "regression":
        _add(case, "failure", f"{judged.outcome}: {message}", "regression", judged.words)
    elif judged.gate == "inconclusive":
        _add(case, "error", f"not decided: {message}", "inconclusive", judged.words)
    return case


def _whole(suite: str, gate: Gate, sentences: Sequence[str]) -> ElementTree.Element:
    """Nothing was compared: neither of the arms has a figure."""
    case = _testcase(suite, "comparison")
    if gate != "pass":
        tag = "failure" if gate == "regression" else "error"
        _add(case, tag, sentences[0] if sentences else gate, gate, "\n".join(sentences))
    return case


def _testcase(suite: str, name: str) -> ElementTree.Element:
    attributes = {"name": _text(name), "classname": _text(f"perfkit.{suite}"), "time": "0.000"}
    return ElementTree.Element("testcase", attributes)


def _add(case: ElementTree.Element, tag: str, message: str, kind: str, words: str) -> None:
    found = ElementTree.SubElement(case, tag, message=_text(message), type=kind)
    found.text = _text(words)


def _text(text: str) -> str:
    return _UNWRITABLE.sub("\N{REPLACEMENT CHARACTER}", text)
