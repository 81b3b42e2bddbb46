"""One chart, four ways to see it: plotly, SVG, HTML, words."""

from __future__ import annotations

import subprocess
import sys
from html.parser import HTMLParser
from xml.etree import ElementTree

import plotly.graph_objects as go
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfkit.figures import (
    Axis,
    Bars,
    Box,
    Chart,
    Instant,
    Intervals,
    Line,
    Note,
    Panel,
    Points,
    Rule,
    Span,
)
from perfkit.figures import chart as charts
from perfkit.figures.chart import Mark, numbers, thinned, time_ticks

HOSTILE = "</script><img src=x onerror=\"alert(1)\"> & 'quoted' $\\frac{1}{2}$"
SECONDS = Axis(title="seconds")
RATE = Axis(title="jobs per second", zero=True)


def one(*marks: Mark, **panel: object) -> Chart:
    """A chart of one panel."""
    made = Panel(**{"x": SECONDS, "y": RATE, "marks": marks, **panel})  # type: ignore[arg-type]
    return Chart(title="It keeps up", reading="Up is more.", panels=(made,))


def line(count: int = 30, name: str = "done", colour: str = "green") -> Line:
    """A rising line."""
    x = tuple(float(i) for i in range(count))
    return Line(name=name, x=x, y=x, colour=colour)


EVERYTHING = [
    one(line(), Span(start=2, end=9, label="measured window"), Rule(y=5, label="offered")),
    one(line(), Instant(x=4, label="1→2", colour="vermilion", row=1), Instant(x=5, label="")),
    one(Points(name="p", x=(1.0, 2.0), y=(3.0, None), colour="blue")),
    one(
        Box(left=-1.0, right=1.0, bottom=0.6, top=1.4),
        Intervals(
            name="p",
            x=(1.0, 2.0),
            y=(1.0, 0.0),
            low=(0.5, None),
            high=(3.0, None),
            colour="bad",
            across=True,
        ),
    ),
    one(
        Intervals(
            name="p", x=(1.0, 2.0), y=(3.0, None), low=(2.0, None), high=(5.0, None), colour="bad"
        )
    ),
    one(line(), Note(x=29, y=29, text="12 % never finished", left=True)),
    one(
        Bars(name="worker", x=("a", "b"), y=(1.0, 2.0), colour="green"),
        Bars(name="redis", x=("a", "b"), y=(0.5, None), colour="vermilion"),
        x=Axis(title="", scale="category"),
        bars="stack",
    ),
    one(
        Bars(name="service", x=("payments", "webhooks"), y=(1.0, 2.0), colour="green"),
        x=Axis(title="", scale="category"),
        bars="stack",
        horizontal=True,
    ),
    one(line(), y=Axis(title="latency", scale="log", ticks=((1.0, "1 ms"), (10.0, "10 ms")))),
]


@pytest.mark.parametrize("chart", EVERYTHING)
def test_plotly_accepts_every_kind_of_mark(chart: Chart) -> None:
    made = chart.plotly()
    figure = go.Figure({"data": made["data"], "layout": made["layout"]})
    assert len(figure.data) >= 1


@pytest.mark.parametrize("chart", EVERYTHING)
def test_the_static_picture_is_xml_and_named(chart: Chart) -> None:
    root = ElementTree.fromstring(chart.svg())
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"].startswith("It keeps up. ")


def test_the_static_picture_is_the_same_in_every_process() -> None:
    here = EVERYTHING[0].svg()
    code = (
        "from perfkit.figures import *\n"
        "x = tuple(float(i) for i in range(30))\n"
        "panel = Panel(x=Axis(title='seconds'), y=Axis(title='jobs per second', zero=True),\n"
        "  marks=(Line(name='done', x=x, y=x, colour='green'),\n"
        "  Span(start=2, end=9, label='measured window'), Rule(y=5, label='offered')))\n"
        "print(Chart(title='It keeps up', reading='Up is more.', panels=(panel,)).svg(), end='')"
    )
    there = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert there.stdout == here


def test_a_display_has_a_form_for_every_place() -> None:
    bundle = one(line())._repr_mimebundle_()
    assert set(bundle) == {
        "text/plain",
        "text/html",
        "image/svg+xml",
        "application/vnd.plotly.v1+json",
    }
    page = bundle["text/html"]
    assert '<figure class="pk-chart" role="img" aria-label="It keeps up. ' in page
    assert "<strong>It keeps up</strong>" in page
    assert "Up is more." in page
    assert "<summary>view as table</summary><div" in page


def test_nothing_to_draw_is_a_sentence_and_no_empty_axes() -> None:
    chart = Chart(title="No job", reading="Up is more.", empty="Nothing came due.")
    bundle = chart._repr_mimebundle_()
    assert "Nothing came due." in bundle["text/html"]
    assert "<svg" not in bundle["text/html"]
    assert "application/vnd.plotly.v1+json" not in bundle
    assert "Nothing came due." in chart.svg()
    assert chart.alt == "No job. Nothing came due."


def test_a_chart_without_panels_must_say_why() -> None:
    with pytest.raises(ValueError, match="sentence"):
        Chart(title="It keeps up", reading="Up is more.")


def test_a_short_run_draws_points() -> None:
    assert one(line(5)).plotly()["data"][0]["mode"] == "lines+markers"
    assert one(line(50)).plotly()["data"][0]["mode"] == "lines"
    assert one(line(1), line(50)).plotly()["data"][0]["mode"] == "lines+markers"


def test_a_long_line_has_at_most_600_points() -> None:
    drawn = one(line(20_000)).plotly()["data"][0]
    assert len(drawn["x"]) == len(drawn["y"]) <= charts.POINTS_PER_LINE


@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), min_size=601, max_size=3000))
@settings(max_examples=30, deadline=None)
def test_thinning_keeps_the_extremes_and_the_order(values: list[float | None]) -> None:
    x, y = thinned([float(i) for i in range(len(values))], values)
    assert len(x) <= 600
    assert list(x) == sorted(x)
    known = [value for value in values if value is not None]
    if known:
        kept = [value for value in y if value is not None]
        assert (min(kept), max(kept)) == (min(known), max(known))


def test_many_long_lines_share_a_budget() -> None:
    panel = Panel(x=SECONDS, y=RATE, marks=tuple(line(900, name=str(i)) for i in range(9)))
    data = Chart(title="t", reading="r", panels=(panel,) * 12).plotly()["data"]
    assert sum(len(trace["x"]) for trace in data) <= 9000
    assert min(len(trace["x"]) for trace in data) >= 48


def test_what_is_not_finite_is_a_gap() -> None:
    assert numbers([1, None, float("nan"), float("inf"), 2], 2.0) == (2.0, None, None, None, 4.0)


def test_ticks_of_time_carry_the_unit_that_suits_them() -> None:
    assert [label for _, label in time_ticks((8.0, 2500.0))] == ["10 ms", "100 ms", "1 s"]
    assert [label for _, label in time_ticks((0.4, 2.0))] == ["500 µs", "1 ms", "2 ms"]
    assert time_ticks((None,)) == ()


def test_small_multiples_share_their_scale_and_stack_on_a_narrow_page() -> None:
    panel = Panel(x=SECONDS, y=RATE, marks=(line(),))
    chart = Chart(title="t", reading="r", panels=(panel,) * 3)
    layout = chart.plotly()["layout"]
    assert layout["yaxis2"]["matches"] == "y"
    assert layout["xaxis3"]["domain"][0] > layout["xaxis2"]["domain"][1]
    narrow = layout["meta"]["narrow"]
    assert narrow["xaxis3.domain"] == [0, 1]
    assert narrow["yaxis3.domain"][1] < narrow["yaxis2.domain"][0]
    assert narrow["height"] > layout["height"]


def test_a_name_appears_once_in_the_legend() -> None:
    panel = Panel(x=SECONDS, y=RATE, marks=(line(),))
    data = Chart(title="t", reading="r", panels=(panel,) * 3).plotly()["data"]
    assert [trace["showlegend"] for trace in data] == [True, False, False]


def test_a_note_stands_at_its_value_on_a_logarithmic_scale_and_in_words() -> None:
    chart = one(
        line(),
        Note(x=2, y=100, text="12 % never finished"),
        y=Axis(title="latency", scale="log"),
    )
    [note] = [each for each in chart.plotly()["layout"]["annotations"] if "never" in each["text"]]
    assert (note["x"], note["y"]) == (2, 2)  # plotly wants the exponent
    assert "12 % never finished" in chart.svg()
    assert "12 % never finished" in chart.alt


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)


def test_a_hostile_name_stays_text_everywhere() -> None:
    panel = Panel(
        title=HOSTILE,
        x=Axis(title=HOSTILE),
        y=Axis(title=HOSTILE),
        marks=(
            line(name=HOSTILE),
            Span(start=1, end=2, label=HOSTILE),
            Rule(y=3, label=HOSTILE),
            Note(x=1, y=1, text=HOSTILE),
        ),
    )
    chart = Chart(title=HOSTILE, reading=HOSTILE, panels=(panel,))
    bundle = chart._repr_mimebundle_()
    ElementTree.fromstring(bundle["image/svg+xml"])
    tags = _Tags()
    tags.feed(bundle["text/html"])
    assert not {"img", "script"} & set(tags.seen)
    drawn = str(bundle["application/vnd.plotly.v1+json"])
    assert "<img" not in drawn
    assert "</script" not in drawn


def test_the_table_has_the_values_of_the_chart() -> None:
    page = one(
        Bars(name="worker", x=("a", "b"), y=(1.0, 2.5), colour="green"),
        x=Axis(title="trial", scale="category"),
    ).html()
    assert "<td>b</td><td class=num>2.5</td>" in page


def test_a_long_table_says_how_much_it_shows() -> None:
    assert "24 of 480 rows, evenly spaced" in one(line(480)).html()
