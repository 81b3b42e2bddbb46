"""Short real runs whose temporary files are looked at."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.runner.conftest import measuring

__all__ = ["measuring", "temporary"]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the processes of this test put what is temporary; nothing else is in it."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder
