"""Variables that the base job templates of several types have, and what such a template is made of.

Law: what means the same has one name and one description, whatever a run is launched as.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Json = dict[str, Any]

TEXTS: Json = {"type": "object", "additionalProperties": {"type": "string"}, "default": {}}
LIST: Json = {"type": "array", "items": {"type": "string"}, "default": []}
IMAGE: Json = {"type": "string", "description": "The image: it has penstock, and what the flow needs."}
IMAGE_PULL_POLICY: Json = {
    "type": "string",
    "enum": ["IfNotPresent", "Always", "Never"],
    "default": "IfNotPresent",
    "description": "When the image is pulled.",
}


def common(*, env: str, labels: str) -> Json:
    """Those that every type has; `env` and `labels` describe what they are of."""
    return {
        "name": {"type": "string", "description": "A name for what is launched; none: the run's."},
        "env": {**TEXTS, "description": f"Environment variables of {env}."},
        "labels": {**TEXTS, "description": labels},
        "command": {"type": "string", "description": "What is run, in place of the run's own command."},
    }


def shown(what: str) -> Json:
    """Of `stream_output`."""
    return {"type": "boolean", "default": True, "description": f"Whether the worker shows what {what}."}


def kept(what: str) -> Json:
    """Of a variable that keeps what has ended."""
    return {"type": "boolean", "default": False, "description": f"Whether {what} stays after its end was recorded."}


def template(fields: Json, *, required: Sequence[str] = ()) -> Json:
    """A base job template whose configuration is its variables."""
    variables: Json = {"type": "object"}
    if required:
        variables["required"] = list(required)
    return {
        "job_configuration": {name: f"{{{{ {name} }}}}" for name in fields},
        "variables": {**variables, "properties": fields},
    }
