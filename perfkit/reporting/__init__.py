"""Reports: a notebook run by papermill, and one HTML file that needs nothing else.

A failed run never looks like a success: see `execution` for what counts as one.
"""

from __future__ import annotations

from perfkit.reporting import document
from perfkit.reporting.execution import execute
from perfkit.reporting.export import export_html, external_references
from perfkit.reporting.parameters import checked_parameters
from perfkit.reporting.rendering import render

__all__ = [
    "checked_parameters",
    "document",
    "execute",
    "export_html",
    "external_references",
    "render",
]
