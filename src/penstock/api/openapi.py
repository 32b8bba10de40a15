"""The OpenAPI 3.1 document, made from the operations and the nouns they take and give.

Law: nothing is described twice. What a person has to add (examples, what is no operation) is in tables below.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_type_hints

import msgspec

from ..domain.filters import RunFilter
from ..protocol import stream
from ..protocol.operation import OPERATIONS, Operation
from ..protocol.problems import Problems
from .answers import Computed
from .arguments import body_of

_REF = "#/components/schemas/{name}"

# Of every operation, whatever it is about.
TROUBLES = {
    "400": "What was sent cannot be read: no JSON, nested too deep, no UTF-8.",
    "401": "The server wants to know who asks.",
    "403": "Who asks may not do this, or the request comes from a page of another site.",
    "404": "There is no such thing.",
    "409": "It cannot be done as things stand.",
    "410": "It was good for once, or for a while, and is not any more.",
    "413": "The body is too large.",
    "415": "The body is not JSON.",
    "422": "What was sent can be read, and does not fit.",
    "426": "Client and server are too far apart.",
    "429": "Too much at once: again after `Retry-After` seconds.",
    "503": "The record cannot be reached at the moment.",
}
EXAMPLES: dict[str, Any] = {
    "filter_flow_runs": {"filter": {"state_types": ["FAILED"], "flow_names": ["nightly"]}, "limit": 20},
    "count_flow_runs": {"filter": {"state_names": ["Running"]}},
    "cancel_flow_run": {"grace": 10},
}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "1 to 200 visible ASCII characters, the request's own: sent again with it within a day, the request "
    "is not done again, and answered as it was.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"},
}
_ABOUT = """What a Penstock server can be asked.

**Lists** are read in pages: give `next` of one page back as `cursor` for the one that follows, as it is; it is null at
the end. **Filters** are the same here, on the command line and in the UI; fields that are not given fit everything.
**Errors** are `{"error": {"code": …, "message": …}}`: the code is for programs, the sentence for people.
**Ids** are UUIDs, times ISO 8601 with an offset, spans seconds. Unknown fields are refused.
Every answer has the header `penstock-protocol`."""


def document(version: str) -> dict[str, Any]:
    """The document, as JSON-able values."""
    operations = sorted(OPERATIONS.values(), key=lambda each: (each.path, each.method))
    bodies = {each.name: body_of(each) for each in operations}
    kinds: list[Any] = [Problems, Computed, RunFilter]
    kinds += [each.gives for each in operations if each.gives is not None]
    kinds += [body for each, body in zip(operations, bodies.values(), strict=True)]
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REF)
    _add_computed(components)
    gives = dict(zip((each.name for each in operations if each.gives is not None), schemas[3:], strict=False))
    takes = dict(zip(bodies, schemas[len(schemas) - len(bodies) :], strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for each in operations:
        described = _operation(each, gives.get(each.name), takes[each.name], components)
        paths.setdefault(each.path, {})[each.method.lower()] = described
    paths.update(_others())
    return {
        "openapi": "3.1.0",
        "info": {"title": "Penstock", "version": version or "0", "description": _ABOUT},
        "servers": [{"url": "/api"}],
        "security": [{"key": []}, {"basic": []}, {"session": []}, {}],
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": {status: _trouble(said) for status, said in TROUBLES.items()},
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "An API key."},
                "basic": {"type": "http", "scheme": "basic", "description": "PENSTOCK_API_AUTH_STRING."},
                "session": {"type": "apiKey", "in": "cookie", "name": "penstock_session", "description": "The UI's."},
            },
        },
    }


def _operation(
    operation: Operation[Any, Any], gives: Any, body: dict[str, Any], components: dict[str, Any]
) -> dict[str, Any]:
    hints = get_type_hints(operation.takes, include_extras=True)
    names = operation.path_fields
    (schemas, more) = msgspec.json.schema_components([hints[name] for name in names], ref_template=_REF)
    components.update(more)
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": schema}
        for name, schema in zip(names, schemas, strict=True)
    ]
    found: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.path.strip("/").partition("/")[0]],
        "description": _description(operation),
    }
    fields = components.get(body.get("$ref", "").rpartition("/")[2], {})
    if operation.in_query:
        required = fields.get("required", ())
        parameters += [
            {"name": name, "in": "query", "required": name in required, "schema": _in_query(schema)}
            for name, schema in fields.get("properties", {}).items()
        ]
    else:
        content: dict[str, Any] = {"schema": body}
        if operation.name in EXAMPLES:
            content["example"] = EXAMPLES[operation.name]
        found["requestBody"] = {"required": bool(fields.get("required")), "content": {"application/json": content}}
    if not operation.reads and not operation.secret:
        parameters.append(_KEY)
    answer: dict[str, Any] = {"description": "Done." if gives is None else "The answer."}
    if gives is not None:
        answer["content"] = {"application/json": {"schema": gives}}
    found["parameters"] = parameters
    found["responses"] = {str(operation.status): answer} | {
        status: {"$ref": f"#/components/responses/{status}"} for status in TROUBLES
    }
    if operation.role is None:
        found["security"] = [{}]
    return found


def _in_query(schema: dict[str, Any]) -> dict[str, Any]:
    """A query has no null: what is not given is left out."""
    options = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    if not options:
        return schema
    rest = {key: value for key, value in schema.items() if key not in ("anyOf", "default")}
    return (options[0] if len(options) == 1 else {"anyOf": options}) | rest


def _description(operation: Operation[Any, Any]) -> str:
    """What the noun that it takes says of itself, and who may ask."""
    said = (operation.takes.__doc__ or "").strip()
    sentences = [] if not said or said.startswith(operation.takes.__name__ + "(") else [" ".join(said.split())]
    if operation.role is not None:
        sentences.append(f"For whoever has the role {operation.role.value}.")
    if operation.waits:
        sentences.append("With `wait` it answers when there is something new, or after so many seconds.")
    return " ".join(sentences)


def _trouble(said: str) -> dict[str, Any]:
    return {
        "description": said,
        "content": {"application/json": {"schema": {"$ref": _REF.format(name="Problems")}}},
    }


def _add_computed(components: dict[str, Any]) -> None:
    computed = components.pop("Computed")
    for name in ("FlowRun", "TaskRun"):
        if name in components:
            components[name]["properties"].update(computed["properties"])


_UUID = {"type": "string", "format": "uuid"}


def _others() -> dict[str, Any]:
    """What is no operation: streams, the journal, metrics."""
    events = "; ".join(f"`{name}`: {said}" for name, said in stream.EVENTS.items())
    query = stream.AskStream
    text = {"schema": {"type": "string"}}
    return {
        stream.STREAM: {
            "get": _other(
                "stream", "stream", "Follow runs as they change (server-sent events, or a WebSocket).",
                f"{' '.join((query.__doc__ or '').split())} Every event has a cursor (`id`), from which the stream "
                f"goes on: as `cursor`, or in the header `Last-Event-ID`. Events: {events}",
                "text/event-stream", text, ("flow_run", "logs", "filter", "cursor"),
            )
        },
        stream.SIGNALS: {
            "get": _other(
                "signals", "stream", "Follow requests to stop the runs of one process (server-sent events).",
                "For engines.", "text/event-stream", text, ("holder",),
            )
        },
        "/flow_runs/{id}/logs/download": {
            "get": _other(
                "download_flow_run_logs", "logs", "A flow run's whole log as text.",
                "Sent as it is read, however long it is; times have their offset.", "text/plain", text, (),
            )
            | {"parameters": [{"name": "id", "in": "path", "required": True, "schema": _UUID}]}
        },
        "/journal": {
            "post": _other(
                "report", "journal", "Report facts about runs, and ask questions, in a batch.",
                "For engines; msgpack, or the same as JSON. A batch sent twice changes nothing.",
                "application/msgpack", {"schema": {"type": "string", "format": "binary"}}, (),
            )
        },
        "/metrics": {
            "get": _other(
                "read_metrics", "metrics", "What the server counts, for Prometheus.", "Also at /metrics.",
                "text/plain", text, (),
            )
        },
    }  # fmt: skip


def _other(
    name: str, tag: str, summary: str, description: str, kind: str, content: dict[str, Any], query: Iterable[str]
) -> dict[str, Any]:
    return {
        "operationId": name,
        "tags": [tag],
        "summary": summary,
        "description": description,
        "parameters": [
            {"name": each, "in": "query", "required": each == "holder", "schema": {"type": "string"}} for each in query
        ],
        "responses": {"200": {"description": "The answer.", "content": {kind: content}}}
        | {status: {"$ref": f"#/components/responses/{status}"} for status in TROUBLES},
    }
