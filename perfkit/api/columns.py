"""Rows as lines of text whose columns stand under each other."""

from __future__ import annotations

from collections.abc import Collection, Sequence

__all__ = ["aligned"]


def aligned(
    rows: Sequence[tuple[str, ...]], *, right: Collection[int] = (), indent: str = ""
) -> list[str]:
    """One line a row; the columns in ``right`` end together, the others begin together.

    A column that is empty in every row takes no room.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        (
            indent
            + "  ".join(
                cell.rjust(width) if column in right else cell.ljust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
                if width
            )
        ).rstrip()
        for row in rows
    ]
