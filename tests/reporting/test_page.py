"""The page in a real browser."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from perfkit.figures import Bars, Chart, Panel
from perfkit.figures.chart import Axis
from perfkit.reporting import document, export_html
from tests.reporting.test_export import chart, shown

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium here"),
]


def dom(page: Path, profile: Path, *flags: str) -> str:
    """The document after its scripts ran, and what the browser complained of."""
    quiet = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--enable-logging=stderr",
        "--virtual-time-budget=10000",
        "--window-size=1200,3000",
    ]
    ran = subprocess.run(
        [str(BROWSER), *quiet, *flags, f"--user-data-dir={profile}", "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    complaints = [line for line in ran.stderr.splitlines() if "CONSOLE" in line]
    assert complaints == []
    return ran.stdout


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """A page with a line and with bars."""
    bars = Bars(name="<b>worker</b>", x=("a", "b"), y=(1.0, 2.0), colour="green")
    panel = Panel(x=Axis(title="", scale="category"), y=Axis(title="cores"), marks=(bars,))
    second = Chart(title="Bars", reading="Up.", panels=(panel, panel))
    cells = [
        {
            "cell_type": "code",
            "id": "c",
            "source": "",
            "metadata": {},
            "execution_count": 1,
            "outputs": [shown(each._repr_mimebundle_()) for each in (chart(), second)],
        }
    ]
    document.write(document.notebook(cells), tmp_path / "n.ipynb")
    export_html(tmp_path / "n.ipynb", tmp_path / "n.html")
    return tmp_path / "n.html"


def test_charts_are_drawn_from_the_file_alone(exported: Path, tmp_path: Path) -> None:
    made = dom(exported, tmp_path / "profile")
    assert made.count('class="pk-chart drawn"') == 2
    assert made.count("main-svg") >= 2
    assert "<b>worker" not in re.sub(r"<script.*?</script>", "", made, flags=re.DOTALL)


def test_charts_follow_a_dark_page(exported: Path, tmp_path: Path) -> None:
    made = dom(exported, tmp_path / "profile", "--blink-settings=preferredColorScheme=0")
    drawn = re.sub(r"<(script|style).*?</\1>", "", made, flags=re.DOTALL)
    assert "rgb(18, 22, 28)" in drawn
