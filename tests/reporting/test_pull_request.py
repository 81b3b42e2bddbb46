"""The comment under a pull request: verdict first, a table, nothing that is markup by accident."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from perfkit.reporting.pull_request import escaped, pull_request
from perfkit.verdict import Gate
from tests.reporting.test_junit import judged


def text_of(*gates: Gate, gate: Gate, **named: str) -> str:
    metrics = [judged(each, metric=f"metric {number}") for number, each in enumerate(gates)]
    return pull_request(
        named.get("title", "mail"),
        metrics,
        gate,
        baseline=named.get("baseline", "main (1a2b3c)"),
        candidate="the working tree (9f8e7d)",
        level=0.99,
        sentences=("B is worse.", "The second."),
        remarks=("an A/A",),
    )


def rendered(text: str) -> str:
    return str(MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(text))


@pytest.mark.parametrize(
    ("gate", "head"),
    [("pass", "PASS"), ("regression", "REGRESSION: metric 1"), ("inconclusive", "INCONCLUSIVE")],
)
def test_the_first_line_is_the_verdict(gate: Gate, head: str) -> None:
    first = text_of("pass", "regression", gate=gate).splitlines()[0]
    assert first.startswith(f"**perfkit mail: {head}")
    assert first.endswith("**")


def test_every_metric_has_a_row_and_regressions_come_first() -> None:
    page = rendered(text_of("pass", "inconclusive", "regression", gate="regression"))
    assert page.count("<tr>") == 1 + 3
    assert page.index("metric 2</td>") < page.index("metric 1</td>") < page.index("metric 0</td>")
    assert "+6.1 % to +12.8 %" in page
    assert "99 % interval" in page
    assert "<blockquote>" in page
    assert page.count("<li>") == 2


def test_without_a_metric_there_is_no_table() -> None:
    assert "|" not in text_of(gate="inconclusive")


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("<img src=x onerror=y>", "&lt;img src=x onerror=y&gt;"),
        ("a | b", "a | b"),
        ("[a](https://b.org) `c` *d* __e__ ~~f~~", "[a](https://b.org) `c` *d* __e__ ~~f~~"),
        ("# no heading", "# no heading"),
        ("- no list\n- at all", "- no list - at all"),
        ("1. no list", "1. no list"),
        ("@everybody #12 www.example.org", "@everybody #12 www.example.org"),
        ("P95 +9.4 % (99 % CI +6.1…+12.8 %)", "P95 +9.4 % (99 % CI +6.1…+12.8 %)"),
    ],
)  # fmt: skip
def test_text_is_shown_as_it_is(text: str, plain: str) -> None:
    assert rendered(escaped(text)) == f"<p>{plain}</p>\n"


def test_what_a_server_would_link_is_hidden_from_it() -> None:
    shown = escaped("@ann fixes #12, see http://example.org, www.example.org")
    assert not {"@", "://", "www."} & {part for part in ("@", "://", "www.") if part in shown}
    assert "#1" not in shown


@given(st.text(), st.sampled_from(get_args(Gate)))
def test_no_name_breaks_out_of_its_cell(name: str, gate: Gate) -> None:
    metrics = [judged(gate, metric=name), judged("pass", metric="after")]
    text = pull_request(
        name, metrics, gate, baseline=name, candidate=name, level=0.99, sentences=(name,)
    )
    page = rendered(text)
    assert page.count("<tr>") == 1 + 2
    assert page.count("<td") == 2 * 6
    assert page.count("<strong>") <= 1 + sum(each.gate == "regression" for each in metrics)
    assert text.splitlines()[0].startswith("**perfkit")
