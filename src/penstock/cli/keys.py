"""Concurrency keys on the command line: how they are said, and how they are shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from penstock.domain.deployments import Deployment


def key_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`concurrency_key`, `concurrency_limit_per_key` and `rate_limit_per_key`, each None where it is not said."""
    for option in (
        click.option("--rate-limit-per-key", metavar="RATE", help="So many of a key start in a time: 10/m, 5/30s."),
        click.option(
            "--concurrency-limit-per-key", type=click.IntRange(1), metavar="COUNT", help="So many of a key at once."
        ),
        click.option("--concurrency-key", metavar="PATH", help="By what runs take turns: parameters.tenant."),
    ):
        command = option(command)
    return command


def key_fields(found: Deployment) -> dict[str, Any]:
    """What is said of a deployment's runs that wait; nothing where nothing is."""
    fields: dict[str, Any] = {} if found.priority is None else {"Priority": found.priority}
    if found.concurrency_key is not None:
        fields["Concurrency key"] = found.concurrency_key
    if found.concurrency_limit_per_key is not None:
        fields["Limit per key"] = found.concurrency_limit_per_key
    if found.rate_limit_per_key is not None:
        fields["Rate per key"] = str(found.rate_limit_per_key)
    return fields
