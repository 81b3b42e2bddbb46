"""The OpenAPI document, and a page that shows it without a script."""

from __future__ import annotations

import dataclasses
import functools
import html
import re
import types
import typing
from collections.abc import Mapping
from typing import Any, Final

from perfkit.monitor.routes import ROUTES
from perfkit.monitor.snapshot import Snapshot

__all__ = ["document", "page"]

_OTHERS: Final = {
    "/events": ("Snapshots as server-sent events, one a second.", "text/event-stream"),
    "/metrics": ("The same for Prometheus.", "text/plain"),
    "/healthz": ("Whether the monitor works.", "application/json"),
    "/readyz": ("Whether its sources do; 503 where not.", "application/json"),
}
_STREAM: Final = {
    "last": "The id of the last event that was seen: what was missed since comes first.",
    "from": "Of a replay: seconds after its beginning.",
    "speed": "Of a replay: so many times as fast as it was.",
    "paused": "Of a replay: 1 to stand there.",
}
_AT: Final = "Of a replay: seconds after its beginning."


@functools.cache
def document(version: str) -> dict[str, Any]:
    """The document, with the types of the snapshot as components."""
    components: dict[str, Any] = {}
    _schema(Snapshot, components)
    paths: dict[str, Any] = {}
    for route in ROUTES:
        words = re.findall(r"\{(\w+)\}", route.path)
        parameters = [_parameter(name, "path", "") for name in words]
        parameters += [_parameter(name, "query", text) for name, text in route.query.items()]
        parameters.append(_parameter("at", "query", _AT))
        schema = (
            {"$ref": f"#/components/schemas/{route.schema}"}
            if route.schema in components
            else {"type": "object"}
        )
        paths[route.path] = _operation(route.summary, "application/json", schema, parameters)
        if words:
            paths[route.path]["get"]["responses"]["404"] = {"description": "Not known here."}
    for path, (summary, kind) in _OTHERS.items():
        asked = _STREAM if path == "/events" else {}
        given = [_parameter(name, "query", text) for name, text in asked.items()]
        paths[path] = _operation(summary, kind, {"type": "string"}, given)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "perfkit monitor",
            "version": version,
            "description": "Read-only. null means not known, never nought. Times end in _s "
            "(seconds; at_s since the epoch) or _ns (monotonic nanoseconds).",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def page(version: str) -> str:
    """The document for people: HTML without script, style or external address of its own."""
    rows = []
    for path, operations in document(version)["paths"].items():
        operation = operations["get"]
        asked = ", ".join(
            f"<code>{html.escape(each['name'])}</code> {html.escape(each['description'])}"
            for each in operation["parameters"]
            if each["in"] == "query"
        )
        shown = html.escape(path)
        link = shown if "{" in path else f'<a href=".{shown}">{shown}</a>'
        rows.append(
            f"<tr><th scope=row>GET <code>{link}</code></th>"
            f"<td>{html.escape(operation['summary'])}</td><td>{asked}</td></tr>"
        )
    fields = []
    for name, schema in document(version)["components"]["schemas"].items():
        listed = "".join(
            f"<li><code>{html.escape(key)}</code> {html.escape(_words(value))}</li>"
            for key, value in schema["properties"].items()
        )
        fields.append(
            f"<details><summary>{html.escape(name)}</summary>"
            f"<p>{html.escape(schema.get('description', ''))}</p><ul>{listed}</ul></details>"
        )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<title>perfkit monitor: API</title>"
        '<link rel="stylesheet" href="assets/docs.css"></head><body><main>'
        "<h1>perfkit monitor: API</h1>"
        f"<p>{html.escape(document(version)['info']['description'])} "
        '<a href="./openapi.json">openapi.json</a>, <a href="./">the page</a></p>'
        "<table><thead><tr><th>Path</th><th>Answer</th><th>Query</th></tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table><h2>Types</h2>{''.join(fields)}"
        "</main></body></html>"
    )


def _parameter(name: str, where: str, text: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": where,
        "required": where == "path",
        "description": text,
        "schema": {"type": "string"},
    }


def _operation(
    summary: str, kind: str, schema: Mapping[str, Any], parameters: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "get": {
            "summary": summary,
            "parameters": parameters,
            "responses": {"200": {"description": summary, "content": {kind: {"schema": schema}}}},
        }
    }


def _schema(kind: Any, components: dict[str, Any]) -> dict[str, Any]:
    """The JSON schema of an annotation; dataclasses become components."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return {
            "anyOf": [
                {"type": "null"} if each is type(None) else _schema(each, components)
                for each in arguments
            ]
        }
    if origin is typing.Literal:
        return {"enum": list(arguments)}
    if origin is tuple:
        return {"type": "array", "items": _schema(arguments[0], components)}
    if origin is not None:
        return {"type": "object", "additionalProperties": _schema(arguments[1], components)}
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        if kind.__name__ not in components:
            components[kind.__name__] = {}
            hints = typing.get_type_hints(kind)
            components[kind.__name__] = {
                "type": "object",
                "description": " ".join((kind.__doc__ or "").split()),
                "properties": {name: _schema(hint, components) for name, hint in hints.items()},
            }
        return {"$ref": f"#/components/schemas/{kind.__name__}"}
    names = {int: "integer", float: "number", str: "string", bool: "boolean"}
    return {"type": names.get(kind, "object")}


def _words(schema: Mapping[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_words(each) for each in schema["anyOf"])
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "enum" in schema:
        return " | ".join(repr(each) for each in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_words(schema['items'])}"
    return str(schema.get("type", "object"))
