"""The files of the page, read as files: what a strict policy asks of them, and their colours."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path

import pytest

from perfkit.figures import style
from perfkit.monitor import snapshot
from perfkit.monitor.history import values_of
from tests.monitor import plant

PAGE = Path(str(resources.files("perfkit.monitor") / "page"))
OWN = sorted(path for path in PAGE.iterdir() if "uPlot" not in path.name)
SCRIPTS = [path for path in OWN if path.suffix == ".js"]


class Elements(HTMLParser):
    """Every start tag with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def elements() -> list[tuple[str, dict[str, str | None]]]:
    return Elements((PAGE / "index.html").read_text()).found


def test_nothing_is_inline(elements: list[tuple[str, dict[str, str | None]]]) -> None:
    assert elements
    for tag, attributes in elements:
        assert tag != "style"
        assert "style" not in attributes
        assert not [name for name in attributes if name.startswith("on")]
        if tag == "script":
            assert attributes.get("src")


def test_every_address_is_relative_and_every_asset_exists(
    elements: list[tuple[str, dict[str, str | None]]],
) -> None:
    addresses = [
        value
        for _, attributes in elements
        for name, value in attributes.items()
        if name in ("src", "href") and value
    ]
    assert len(addresses) > 5
    for address in addresses:
        assert not re.match(r"[a-z]+:|/", address), address
        if address.startswith("assets/"):
            assert (PAGE / address.removeprefix("assets/")).is_file(), address


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_no_file_names_an_address_elsewhere(path: Path) -> None:
    addresses = set(re.findall(r"https?://[^\s\"'<>)]+", path.read_text()))
    assert addresses <= {"http://www.w3.org/2000/svg"}


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_no_script_parses_markup_or_text_as_code(path: Path) -> None:
    text = path.read_text()
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert way not in text
    assert not re.search(r"new Function|setAttribute\(\s*[\"']style", text)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_what_a_script_imports_exists(path: Path) -> None:
    for source in re.findall(r"from \"(.*?)\"", path.read_text()):
        assert (PAGE / source).is_file(), source


def test_identifiers_that_scripts_ask_for_are_on_the_page(
    elements: list[tuple[str, dict[str, str | None]]],
) -> None:
    present = {attributes["id"] for _, attributes in elements if "id" in attributes}
    asked = {
        name for path in SCRIPTS for name in re.findall(r"byId\(\"([\w-]+)\"\)", path.read_text())
    }
    assert len(asked) > 30
    assert asked <= present


def test_fields_that_the_model_reads_are_fields_of_the_snapshot() -> None:
    kinds = [
        getattr(snapshot, name)
        for name in snapshot.__all__
        if dataclasses.is_dataclass(getattr(snapshot, name))
    ]
    fields = {field.name for kind in kinds for field in dataclasses.fields(kind)}
    for name in ("model.js", "drawings.js"):
        text = (PAGE / name).read_text()
        read = set(re.findall(r"\b(?:snapshot|queue|worker|redis|load|each)\.([a-z]+_\w+)", text))
        assert read - {"at_known"} <= fields, name
    lines = re.search(r"const PER_QUEUE = \[(.*?)\];", (PAGE / "drawings.js").read_text(), re.S)
    assert lines
    assert set(re.findall(r"\"(\w+)\"", lines[1])) <= {
        field.name for field in dataclasses.fields(snapshot.Queue)
    }


def test_colours_are_those_of_the_house() -> None:
    sheet = (PAGE / "page.css").read_text()
    assert style.css_variables(style.LIGHT) in sheet
    assert sheet.count(style.css_variables(style.DARK)) == 2
    others = re.sub(r"--pk-\w+: #[0-9a-f]{6};", "", sheet)
    assert set(re.findall(r"#[0-9a-f]{3,8}\b", others)) <= {"#0009"}


def test_the_charting_library_comes_with_its_licence_and_version() -> None:
    version = re.search(r"\(v([\d.]+)\)", (PAGE / "uPlot.iife.min.js").read_text()[:200])
    assert version
    assert f"uPlot {version[1]}" in re.sub(r"\s+", " ", (PAGE / "index.html").read_text())
    assert "MIT License" in (PAGE / "uPlot.LICENSE").read_text()


def test_what_the_page_draws_is_kept_by_the_server_for_who_opens_it_later() -> None:
    kept = {name.rpartition("/")[2] for name in values_of(plant.snapshot(60))}
    text = (PAGE / "drawings.js").read_text()
    drawn = set(re.findall(r"(?:totals|redis|load)/(\w+)", text))
    drawn |= set(re.findall(r"perQueue\(view, \"(\w+)\"\)", text))
    assert len(drawn) > 15
    assert drawn <= kept
