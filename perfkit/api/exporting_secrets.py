"""The files of a run without secrets, for somebody else.

What perfkit writes is redacted when it is written; what an older perfkit or another hand wrote may
not be. A sealed file that had to be changed is hashed anew, and the manifest names it: the copy
verifies, and says that it is no longer what was sealed.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from perfkit.errors import NotARun
from perfkit.redaction import redact, redact_command
from perfkit.scenario.system import BLOT, blotted, environment_of
from perfkit.store import StoredRun
from perfkit.store.layout import FACTS, MANIFEST, trial_index
from perfkit.store.tables import read_table

__all__ = ["as_json_bytes", "clean_files", "clean_html"]

_SUSPECT: Final = r"(?i)://|password|passwd|secret|token|api[-_]?key"
_CODE = re.compile(r"(<script\b[^>]*>.*?</script>|<style\b[^>]*>.*?</style>)", re.DOTALL | re.I)


def clean_files(run: StoredRun) -> dict[str, bytes | Path]:
    """The manifest, facts and tables of a run by name; a path where the file may go as it is.

    Raises:
        NotARun: a file is damaged.
    """
    contents: dict[str, bytes | Path] = {}
    files = {name: dict(listed) for name, listed in run.manifest["files"].items()}
    changed: list[str] = []
    for name in files:
        path = run.path / name
        if path.name == FACTS:
            facts = run.trial_facts(trial_index(path.parent.name) or 0)
            shown = _clean_facts(facts)
            contents[name] = path if shown == facts else as_json_bytes(shown)
        else:
            contents[name] = _clean_table(path) or path
    for name, content in contents.items():
        if isinstance(content, bytes):
            changed.append(name)
            files[name]["sha256"] = hashlib.sha256(content).hexdigest()
    manifest = _clean_manifest(run.manifest)
    if changed:
        manifest |= {"files": files, "redacted": sorted(changed)}
    same = manifest == run.manifest
    contents[MANIFEST] = run.path / MANIFEST if same else as_json_bytes(manifest)
    return contents


def _clean_manifest(manifest: Mapping[str, Any]) -> dict[str, Any]:
    # Hashes are no secrets, though a file's name may look like one.
    shown: dict[str, Any] = {**redact(manifest), "files": dict(manifest["files"])}
    if "command" in shown:
        shown["command"] = redact_command(shown["command"])
    for scenario in shown["scenarios"].values():
        if _tells(document := scenario.get("document") or {}):
            scenario["document"], scenario["text"] = blotted(document, scenario.get("text") or "")
    return shown


def _clean_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = redact(facts)
    if _tells(document := shown.get("document") or {}):
        shown["document"], _ = blotted(document)
    return shown


def _tells(document: Mapping[str, Any]) -> bool:
    """Whether a scenario has values of its system's environment, any of which may be secret."""
    return any(value != BLOT for value in environment_of(document).values())


def _clean_table(path: Path) -> bytes | None:
    """A table without secrets as parquet; None where it had none."""
    try:
        table = read_table(path)
    except ValueError as error:
        raise NotARun(f"{path.parent}: {error}", "restore it from a copy") from error
    schema = table.schema
    changed = False
    for place, field in enumerate(schema):
        column = table.column(place)
        words = pa.types.is_dictionary(field.type)
        if not words and not pa.types.is_string(field.type):
            continue
        plain = column.cast(pa.string())
        if not pc.any(pc.match_substring_regex(plain.unique(), _SUSPECT)).as_py():
            continue
        shown = [redact(each) for each in plain.to_pylist()]
        if shown != plain.to_pylist():
            table = table.set_column(place, field, pa.array(shown, pa.string()).cast(field.type))
            changed = True
    if not changed:
        return None
    sink = io.BytesIO()
    pq.write_table(table.cast(schema), sink, compression="zstd", store_schema=True)
    return sink.getvalue()


def clean_html(text: str) -> str:
    """A page without secrets; code and styles are perfkit's own and stay as they are."""
    parts = _CODE.split(text)
    return "".join(part if place % 2 else redact(part) for place, part in enumerate(parts))


def as_json_bytes(document: Mapping[str, Any]) -> bytes:
    """A document as perfkit writes it."""
    return (json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()
