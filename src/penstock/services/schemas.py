"""Values against JSON schemas, as users have written or made them: what does not fit, in sentences."""

from __future__ import annotations

from typing import Any

from ..domain.errors import SchemaError

# So many are told at once, and so much of each.
MOST_PROBLEMS, MOST_TEXT = 5, 300


def problems(schema: dict[str, Any], value: Any, of: str = "input") -> list[str]:
    """What does not fit, `of` naming the whole; nothing, where all does. Raises `SchemaError` for what is no schema."""
    import jsonschema
    import referencing

    # (With a registry of its own: what a schema refers to elsewhere is never fetched.)
    validator = jsonschema.Draft202012Validator(schema, registry=referencing.Registry())
    try:
        found = sorted(validator.iter_errors(value), key=lambda each: [str(part) for part in each.path])
    except Exception as error:  # it is no schema, or refers to what is not there
        raise SchemaError(f"It cannot be checked by its schema: {error}") from error
    return [f"{'.'.join(map(str, each.path)) or of}: {each.message}"[:MOST_TEXT] for each in found[:MOST_PROBLEMS]]
