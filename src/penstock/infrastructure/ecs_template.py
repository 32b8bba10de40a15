"""The base job template of tasks on Amazon ECS."""

from __future__ import annotations

from typing import Any

from .template_fields import IMAGE, LIST, common, shown, template

_FIELDS: dict[str, Any] = {
    **common(env="the container", labels="Tags of the task."),
    "image": IMAGE,
    "region": {"type": "string", "description": "The region; none: that of the worker's own configuration."},
    "cluster": {"type": "string", "default": "default", "description": "The cluster, by name or ARN."},
    "launch_type": {
        "type": "string",
        "enum": ["FARGATE", "EC2", "EXTERNAL", "FARGATE_SPOT"],
        "default": "FARGATE",
        "description": "What the task runs on.",
    },
    "cpu": {"type": "integer", "default": 1024, "description": "CPU units; 1024 are one processor."},
    "memory": {"type": "integer", "default": 2048, "description": "Memory in MiB."},
    "family": {"type": "string", "default": "penstock", "description": "The family of the task definitions made."},
    "task_definition_arn": {"type": "string", "description": "A task definition that is there, in place of one made."},
    "container_name": {"type": "string", "default": "penstock", "description": "The container that executes the run."},
    "execution_role_arn": {"type": "string", "description": "The role by which ECS pulls images and writes logs."},
    "task_role_arn": {"type": "string", "description": "The role that the flow's own code has."},
    "vpc_id": {"type": "string", "description": "The VPC whose subnets are taken, where none are named."},
    "subnets": {**LIST, "description": "Subnets of the task; none: those of the VPC (or of the default one)."},
    "security_groups": {**LIST, "description": "Security groups of the task."},
    "assign_public_ip": {
        "type": "boolean",
        "default": True,
        "description": "Whether a task on Fargate has a public address; without a NAT it needs one to pull its image.",
    },
    "stop_timeout": {
        "type": "integer",
        "default": 30,
        "description": "The grace of a cancellation, in seconds (Fargate: at most 120): ECS fixes it beforehand.",
    },
    "configure_cloudwatch_logs": {
        "type": "boolean",
        "default": False,
        "description": "Whether what is written goes to CloudWatch, and from there to the worker.",
    },
    "cloudwatch_logs_group": {"type": "string", "default": "penstock", "description": "The log group."},
    "stream_output": shown("the task writes (with CloudWatch)"),
}
ECS_TEMPLATE = template(_FIELDS)
