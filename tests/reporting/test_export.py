"""The HTML file: whole, closed to the outside, and safe with any text."""

from __future__ import annotations

import base64
import gzip
import hashlib
import importlib.metadata
import json
import re
from pathlib import Path
from typing import Any

import plotly.offline
import pytest

from perfkit.errors import ReportFailed
from perfkit.figures import Axis, Chart, Line, Panel
from perfkit.reporting import document, export, export_html
from perfkit.reporting.export import PLOTLY_VERSION, external_references

HOSTILE = "</script><script>alert(1)</script>"


def chart(count: int = 50, name: str = "done") -> Chart:
    """A line."""
    x = tuple(float(i) for i in range(count))
    line = Line(name=name, x=x, y=x, colour="green")
    panel = Panel(x=Axis(title="seconds"), y=Axis(title="jobs"), marks=(line,))
    return Chart(title=f"Finding {name}", reading="Up is more.", panels=(panel,))


def shown(data: dict[str, Any]) -> dict[str, Any]:
    """An output as a cell holds it."""
    return {"output_type": "display_data", "data": data, "metadata": {}}


def page(tmp_path: Path, *outputs: dict[str, Any], prose: str = "# Title", failed: str = "") -> str:
    """The exported page of a notebook with one cell that gave these outputs."""
    cells: list[dict[str, Any]] = [
        {"cell_type": "markdown", "id": "m", "source": prose, "metadata": {}},
        {
            "cell_type": "code",
            "id": "c",
            "source": 'secret = "</div>"',
            "metadata": {},
            "execution_count": 1,
            "outputs": list(outputs),
        },
    ]
    source, target = tmp_path / "n.ipynb", tmp_path / "n.html"
    document.write(document.notebook(cells), source)
    size = export_html(source, target, failed=failed)
    assert target.stat().st_size == size
    return target.read_text()


def test_a_chart_is_there_three_times_static_interactive_and_as_a_table(tmp_path: Path) -> None:
    made = page(tmp_path, shown(chart()._repr_mimebundle_()))
    assert '<figure class="pk-chart" data-chart="0" data-captioned="1" role="img"' in made
    assert made.count("<svg") == 1
    source = re.search(r'<script type="application/json" id="chart-0">(.*?)</script>', made)
    assert source is not None
    assert json.loads(source[1])["data"][0]["name"] == "done"
    assert "view as table" in made


def test_the_policy_names_exactly_the_two_scripts_that_run(tmp_path: Path) -> None:
    made = page(tmp_path, shown(chart()._repr_mimebundle_()))
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', made)
    assert policy is not None
    rules = policy[1].replace("&#39;", "'")
    assert "unsafe-eval" not in rules
    assert "default-src 'none'" in rules
    running = re.findall(r"<script>(.*?)</script>", made, re.DOTALL)
    packed = re.search(r'id="plotly">(.*?)</script>', made)
    assert packed is not None
    running.append(gzip.decompress(base64.b64decode(packed[1])).decode())
    hashes = {base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in running}
    assert set(re.findall(r"'sha256-([^']*)'", rules)) == hashes
    assert len(hashes) == 2


def test_the_bundle_is_that_of_the_installed_plotly_and_has_its_licence() -> None:
    assert f"plotly.js v{PLOTLY_VERSION}" in plotly.offline.get_plotlyjs()[:200], (
        f"plotly {importlib.metadata.version('plotly')} draws with another plotly.js: "
        "vendor the cartesian bundle of that version"
    )
    assets = Path(export.__file__).parent / "assets"
    assert (
        f"v{PLOTLY_VERSION}"
        in gzip.decompress(
            (assets / f"plotly-cartesian-{PLOTLY_VERSION}.min.js.gz").read_bytes()
        ).decode()[:200]
    )
    assert "MIT" in (assets / "plotly-cartesian.LICENSE").read_text()


def test_a_page_without_charts_carries_no_script(tmp_path: Path) -> None:
    made = page(tmp_path, shown({"text/plain": "3"}))
    assert "<script" not in made
    assert len(made) < 30_000


def test_hostile_text_is_text_wherever_it_comes_from(tmp_path: Path) -> None:
    made = page(
        tmp_path,
        shown(chart(name=HOSTILE)._repr_mimebundle_()),
        shown({"text/plain": HOSTILE}),
        {"output_type": "stream", "name": "stdout", "text": HOSTILE},
        {"output_type": "error", "ename": "E", "evalue": "v", "traceback": [HOSTILE]},
        shown({"text/html": f"<p>kept</p>{HOSTILE}<style>p{{}}</style>"}),
        prose=f"# Title {HOSTILE}",
        failed=HOSTILE,
    )
    assert "<script>alert" not in made
    assert "<p>kept</p>" in made


def test_a_failed_report_says_so_first(tmp_path: Path) -> None:
    made = page(tmp_path, failed="the kernel died")
    assert "<title>FAILED: Title</title>" in made
    assert made.index("FAILED: this report is not complete") < made.index("<h1")
    assert "the kernel died" in made


def test_code_is_there_but_hidden_until_asked_for(tmp_path: Path) -> None:
    made = page(tmp_path)
    assert 'id="show-code"' in made
    assert re.search(r'<div class="code">.*secret', made, re.DOTALL)
    assert "&lt;/div&gt;" in made


def test_headings_make_the_contents(tmp_path: Path) -> None:
    made = page(tmp_path, prose="# Title\n\n## Some & part\n\n### Not this")
    assert '<a href="#section-1">Some &amp; part</a>' in made
    assert '<h2 id="section-1">Some &amp; part</h2>' in made
    assert "Not this</a>" not in made


def test_a_dataframe_is_a_tidy_table(tmp_path: Path) -> None:
    table = (
        '<div><style scoped>.x{}</style><table border="1" class="dataframe"><tr></tr></table></div>'
    )
    made = page(tmp_path, shown({"text/html": table, "text/plain": "t"}))
    assert '<table class="dataframe">' in made
    assert "scoped" not in made


def test_a_picture_is_inside_the_page(tmp_path: Path) -> None:
    made = page(tmp_path, shown({"image/png": "aGFs\nbG8=\n", "text/plain": '<"'}))
    assert '<img alt="&lt;&quot;" src="data:image/png;base64,aGFsbG8=">' in made


def test_a_foreign_plotly_figure_is_drawn_too(tmp_path: Path) -> None:
    figure = {"data": [{"y": [1]}], "layout": {"title": {"text": "Theirs"}}}
    made = page(tmp_path, shown({"application/vnd.plotly.v1+json": figure, "text/plain": "f"}))
    assert 'data-chart="0" role="img" aria-label="Theirs"' in made
    assert 'id="plotly"' in made


def test_what_would_be_fetched_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReportFailed, match=r"would fetch https://example\.org/x\.png"):
        page(tmp_path, shown({"text/html": '<img src="https://example.org/x.png">'}))
    assert not (tmp_path / "n.html").exists()


def test_references_inside_the_page_are_not_outside() -> None:
    assert external_references('<a href="#x"></a><img src="data:image/png;base64,AA">') == []
    assert external_references('<use xlink:href="b.svg#x"/>') == ["b.svg#x"]


def test_a_page_over_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "BYTES_LIMIT", 20_000)
    with pytest.raises(ReportFailed, match="more than 20,000"):
        page(tmp_path, shown(chart()._repr_mimebundle_()))
    assert not (tmp_path / "n.html").exists()
