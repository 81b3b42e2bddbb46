"""The static picture as text."""

from __future__ import annotations

from perfkit.figures import Axis, Chart, Line, Panel
from perfkit.figures.svg import compact, themed

MATPLOTLIB = """<?xml version="1.0" encoding="utf-8" standalone="no"?>
<!DOCTYPE svg>
<svg xmlns:xlink="http://www.w3.org/1999/xlink" width="720pt" viewBox="0 0 720 10"
 xmlns="http://www.w3.org/2000/svg" version="1.1">
 <metadata><date>now</date></metadata>
 <defs>
  <style type="text/css">*{stroke-linejoin: round; stroke-linecap: butt}</style>
 </defs>
 <g id="figure_1">
  <g id="patch_1" clip-path="url(#p1)">
   <path d="M 0.123456 1
L 3 4
z
" style="fill: #ffffff; stroke: #123456"/>
  </g>
  <!-- a comment -->
  <text style="font-size: 9px; font-family: 'DejaVu Sans'; fill: #1b2430" x="1"
  transform="rotate(-0 1 2)">#ffffff a  b</text>
 </g>
</svg>"""


def test_compacting_keeps_what_is_drawn() -> None:
    made = compact(MATPLOTLIB)
    assert '<path d="M0.1 1L3 4z" style="fill:#ffffff;stroke:#123456"/>' in made
    assert "#ffffff a  b</text>" in made
    assert made.count("<g") == made.count("</g>") == 1


def test_compacting_leaves_nothing_that_would_reach_the_rest_of_the_page() -> None:
    made = compact(MATPLOTLIB)
    for gone in ("<style", "<metadata", "<!--", "figure_1", "<?xml", "DOCTYPE"):
        assert gone not in made


def test_theming_touches_colours_of_the_theme_and_no_text() -> None:
    made = themed(compact(MATPLOTLIB))
    assert "fill:var(--pk-paper,#ffffff);stroke:#123456" in made
    assert ">#ffffff a  b<" in made


def test_a_picture_of_600_points_is_small() -> None:
    x = tuple(float(i) for i in range(600))
    y = tuple((i * 7919 % 101) / 7 for i in range(600))
    line = Line(name="n", x=x, y=y, colour="blue")
    panel = Panel(x=Axis(title="x"), y=Axis(title="y"), marks=(line,))
    assert len(Chart(title="t", reading="r", panels=(panel,)).svg()) < 24_000
