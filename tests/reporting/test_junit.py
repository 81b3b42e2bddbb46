"""JUnit XML: the structure that servers share, and names that would break it."""

from __future__ import annotations

from typing import Final, get_args
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfkit.reporting.junit import junit
from perfkit.verdict import Gate
from perfkit.verdict.gating import Judged

HOSTILE = '<P95> & "quoted" \x00\x1b[31m ]]> \ud800 \uffff'

# Element -> its attributes (needed, allowed) and its children in their order, as the schemas of
# Ant, Jenkins and Surefire have them in common.
SCHEMA: Final = {
    "testsuites": (set(), {"name", "tests", "failures", "errors", "time"}, ["testsuite"]),
    "testsuite": (
        {"name", "tests", "failures", "errors"},
        {"skipped", "time", "timestamp", "hostname", "id", "package"},
        ["properties", "testcase", "system-out", "system-err"],
    ),
    "properties": (set(), set(), ["property"]),
    "property": ({"name", "value"}, set(), []),
    "testcase": ({"name", "classname"}, {"time"}, ["skipped", "error", "failure"]),
    "failure": ({"type"}, {"message"}, []),
    "error": ({"type"}, {"message"}, []),
    "system-out": (set(), set(), []),
}


def judged(gate: Gate, metric: str = "P95 of mail", words: str = "B is worse.") -> Judged:
    return Judged(
        metric=metric,
        gate=gate,
        outcome="worse" if gate == "regression" else "no detectable difference",
        effect="+9.4 %",
        interval="+6.1 % to +12.8 %",
        margin="5.0 %",
        words=words,
    )


def read(*metrics: Judged, gate: Gate = "pass", name: str = "mail") -> ElementTree.Element:
    text = junit(
        name,
        metrics,
        gate,
        sentences=("B is worse.", HOSTILE),
        properties={"baseline": HOSTILE},
        began_s=1_700_000_000.0,
        took_s=541.5,
    )
    return ElementTree.fromstring(text.encode("utf-8"))


def assert_follows_the_schema(element: ElementTree.Element) -> None:
    needed, allowed, children = SCHEMA[element.tag]
    assert needed <= set(element.attrib) <= needed | allowed, element.tag
    places = [children.index(child.tag) for child in element]
    assert places == sorted(places), element.tag
    for child in element:
        assert_follows_the_schema(child)


@pytest.mark.parametrize("gate", get_args(Gate))
def test_it_has_the_structure_that_servers_share(gate: Gate) -> None:
    suites = read(judged("pass"), judged("regression"), judged("inconclusive"), gate=gate)
    assert_follows_the_schema(suites)
    assert suites.tag == "testsuites"
    assert_follows_the_schema(read(gate=gate))


def test_a_regression_fails_what_was_not_decided_is_an_error_and_the_rest_passes() -> None:
    suites = read(
        judged("pass", "P50"), judged("regression", "P95"), judged("inconclusive", "P99"),
        gate="regression",
    )  # fmt: skip
    cases = {case.attrib["name"]: [child.tag for child in case] for case in suites.iter("testcase")}
    assert cases == {"P50": [], "P95": ["failure"], "P99": ["error"]}
    (suite,) = suites
    counts = {key: suite.attrib[key] for key in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "3", "failures": "1", "errors": "1", "skipped": "0"}
    assert suite.attrib["timestamp"] == "2023-11-14T22:13:20"
    failure = suites.find(".//failure")
    assert failure is not None
    assert failure.attrib["message"] == "worse: +9.4 % (+6.1 % to +12.8 %; margin 5.0 %)"
    assert failure.text == "B is worse."


@pytest.mark.parametrize(
    ("gate", "tags"), [("pass", []), ("regression", ["failure"]), ("inconclusive", ["error"])]
)
def test_a_comparison_of_nothing_is_one_testcase(gate: Gate, tags: list[str]) -> None:
    (case,) = read(gate=gate).iter("testcase")
    assert [child.tag for child in case] == tags


@given(st.text(), st.text(), st.sampled_from(get_args(Gate)))
def test_any_name_is_written_so_that_it_can_be_read_back(name: str, words: str, gate: Gate) -> None:
    suites = read(judged(gate, metric=name, words=words), gate=gate, name=name)
    assert_follows_the_schema(suites)
    (case,) = suites.iter("testcase")
    if name.isprintable():
        assert case.attrib["name"] == name


def test_what_xml_can_not_say_is_shown_as_such() -> None:
    (case,) = read(judged("regression", metric=HOSTILE)).iter("testcase")
    assert case.attrib["name"] == '<P95> & "quoted" \ufffd\ufffd[31m ]]> \ufffd \ufffd'
