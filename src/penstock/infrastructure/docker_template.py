"""The base job template of Docker containers."""

from __future__ import annotations

from typing import Any

from .template_fields import IMAGE, IMAGE_PULL_POLICY, LIST, common, shown, template

DOCKER_TEMPLATE: dict[str, Any] = template(
    {
        **common(env="the container", labels="Labels of the container."),
        "image": IMAGE,
        "image_pull_policy": IMAGE_PULL_POLICY,
        "networks": {**LIST, "description": "Networks that the container is connected to."},
        "network_mode": {"type": "string", "description": "bridge, host, none, or container:NAME."},
        "auto_remove": {
            "type": "boolean",
            "default": True,
            "description": "Whether the container is removed after its end was recorded.",
        },
        "volumes": {**LIST, "description": 'Volumes and folders, as "/here:/there:ro".'},
        "mem_limit": {"type": "string", "description": 'The most memory, such as "512m".'},
        "memswap_limit": {"type": "string", "description": "The most memory and swap together."},
        "cpus": {"type": "number", "description": "So many processors at most, such as 1.5."},
        "privileged": {"type": "boolean", "default": False, "description": "Whether it may do what its host may."},
        "user": {"type": "string", "description": "The user in the container."},
        "working_dir": {"type": "string", "description": "The folder that the run begins in."},
        "stream_output": shown("the container writes"),
    }
)
