"""Tables in parquet, checked against their schema when written and when read."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from perfkit.records import OPTIONAL, TABLES
from perfkit.store.durable import flush

__all__ = ["conform", "digest", "problems_of", "read_table", "rows", "write_table"]

_SORTED: Final = "DELTA_BINARY_PACKED"


def conform(kind: str, table: pa.Table, trial: int) -> pa.Table:
    """The table in exactly the schema of its kind.

    Raises:
        ValueError: unknown kind, other columns, nulls where none may be, or another trial's rows.
    """
    schema = (TABLES | OPTIONAL).get(kind)
    if schema is None:
        raise ValueError(f"there is no table {kind!r}; known are {', '.join(TABLES)}")
    if table.schema.names != schema.names:
        raise ValueError(f"{kind} must have the columns {', '.join(schema.names)}")
    try:
        whole = table.cast(schema)
    except (pa.ArrowException, ValueError) as error:
        raise ValueError(f"{kind}: {error}") from error
    for field in schema:
        if not field.nullable and whole.column(field.name).null_count:
            raise ValueError(f"{kind}.{field.name} must not be null")
    if len(whole) and pc.unique(whole.column("trial")).to_pylist() != [trial]:
        raise ValueError(f"{kind} holds rows of another trial than {trial}")
    return whole


def write_table(path: Path, table: pa.Table) -> None:
    """Write and flush one parquet file."""
    # Stamps rise slowly, so their differences are small; names repeat, ids and keys do not.
    names = [field.name for field in table.schema if pa.types.is_dictionary(field.type)]
    stamps = {
        field.name: _SORTED for field in table.schema if pa.types.is_integer(field.type)
    }  # dictionaries are no integers
    pq.write_table(
        table,
        path,
        compression="zstd",
        use_dictionary=names or False,
        column_encoding=stamps,
        write_statistics=True,
        store_schema=True,
    )
    flush(path)


def read_table(path: Path) -> pa.Table:
    """One stored table, in the schema of its kind (the file's stem).

    Raises:
        ValueError: it can't be read, or is not of that schema.
    """
    if problems := problems_of(path):
        raise ValueError(problems[0])
    return pq.read_table(path, partitioning=None).cast((TABLES | OPTIONAL)[path.stem])


def problems_of(path: Path) -> list[str]:
    """Why a file can't be read as the table its name says; nothing when it can."""
    try:
        found = pq.read_schema(path)
    except (OSError, pa.ArrowException) as error:
        return [f"{path.name} can't be read: {error}"]
    schema = (TABLES | OPTIONAL).get(path.stem)
    if schema is None:
        return [f"{path.name} is no table of a trial"]
    if not found.equals(schema):
        return [f"{path.name} is not in the schema of {path.stem}"]
    return []


def rows(path: Path) -> int:
    """Rows of a parquet file."""
    return int(pq.read_metadata(path).num_rows)


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
