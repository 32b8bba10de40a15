"""The base job template of Docker containers."""

from __future__ import annotations

from typing import Any

_TEXTS = {"type": "object", "additionalProperties": {"type": "string"}, "default": {}}
_LIST = {"type": "array", "items": {"type": "string"}, "default": []}

DOCKER_TEMPLATE: dict[str, Any] = {
    "job_configuration": {
        name: f"{{{{ {name} }}}}"
        for name in (
            "command", "env", "labels", "name", "image", "image_pull_policy", "networks", "network_mode", "auto_remove",
            "volumes", "mem_limit", "memswap_limit", "cpus", "privileged", "user", "working_dir", "stream_output",
        )
    },
    "variables": {
        "type": "object",
        "properties": {
            "name": {"type": "string", "description": "A name for what is launched; none: the run's."},
            "env": {**_TEXTS, "description": "Environment variables of the container."},
            "labels": {**_TEXTS, "description": "Labels of the container."},
            "command": {"type": "string", "description": "What is run, in place of the run's own command."},
            "image": {"type": "string", "description": "The image: it has penstock, and what the flow needs."},
            "image_pull_policy": {
                "type": "string",
                "enum": ["IfNotPresent", "Always", "Never"],
                "default": "IfNotPresent",
                "description": "When the image is pulled.",
            },
            "networks": {**_LIST, "description": "Networks that the container is connected to."},
            "network_mode": {"type": "string", "description": "bridge, host, none, or container:NAME."},
            "auto_remove": {
                "type": "boolean",
                "default": True,
                "description": "Whether the container is removed after its end was recorded.",
            },
            "volumes": {**_LIST, "description": 'Volumes and folders, as "/here:/there:ro".'},
            "mem_limit": {"type": "string", "description": 'The most memory, such as "512m".'},
            "memswap_limit": {"type": "string", "description": "The most memory and swap together."},
            "cpus": {"type": "number", "description": "So many processors at most, such as 1.5."},
            "privileged": {"type": "boolean", "default": False, "description": "Whether it may do what its host may."},
            "user": {"type": "string", "description": "The user in the container."},
            "working_dir": {"type": "string", "description": "The folder that the run begins in."},
            "stream_output": {
                "type": "boolean",
                "default": True,
                "description": "Whether the worker shows what the container writes.",
            },
        },
    },
}  # fmt: skip
