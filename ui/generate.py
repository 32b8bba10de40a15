"""Writes what the UI has from Python: `src/generated/api.ts` from the OpenAPI document, and the states' colours and
glyphs from the domain's table. Run it after a change of either: `python ui/generate.py`; a test compares.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import penstock.api.app  # noqa: F401  loads all operations
from penstock.api.openapi import document
from penstock.domain import states

HERE = Path(__file__).parent / "src" / "generated"
HEAD = "// Written by ui/generate.py. Do not edit.\n\n"
WIDTH = 120
_PLAIN = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}


class Types:
    """The document's schemas as TypeScript."""

    def __init__(self, schemas: dict[str, Any]) -> None:
        self._schemas = schemas
        last = Counter(_last(name) for name in schemas)
        self._names = {name: self._short(name, last) for name in schemas}

    @staticmethod
    def _short(name: str, last: Counter[str]) -> str:
        if name.startswith("Page_"):
            return f"Page<{name[5:-1]}>"
        name = name.removesuffix("_Any_")
        if last[_last(name)] == 1 or "." not in name:
            return _last(name)
        *_, module, short = name.split(".")
        return "".join(word.title() for word in module.split("_")) + short

    def of(self, schema: Any) -> str:
        if not isinstance(schema, dict):
            return "unknown"
        if "$ref" in schema:
            found = schema["$ref"].rpartition("/")[2]
            # `StreamEvent` and the like are not among them; a page's type argument may be one with a long name.
            return re.sub(r"[\w.]+(?=>)", lambda m: self._names.get(m[0], m[0]), self._names[found])
        if "anyOf" in schema:
            return " | ".join(dict.fromkeys(self.of(each) for each in schema["anyOf"]))
        if "enum" in schema:
            return " | ".join(json.dumps(each) for each in schema["enum"])
        if schema.get("type") == "array":
            inner = self.of(schema.get("items", {}))
            return f"({inner})[]" if "|" in inner else f"{inner}[]"
        if schema.get("type") == "object":
            return f"Record<string, {self.of(schema.get('additionalProperties', {}))}>"
        return _PLAIN.get(str(schema.get("type")), "unknown")

    def all(self) -> str:
        made = []
        for name, schema in sorted(self._schemas.items()):
            short = self._names[name]
            if short.startswith("Page<"):
                continue
            if "properties" not in schema:
                made.append(f"export type {short} = {self.of(schema)};\n")
                continue
            made.append(f"export interface {short} {{\n{self.fields(schema)}}}\n")
        made.append("export interface Page<T> {\n  items: T[];\n  next?: string | null;\n}\n")
        return "\n".join(made)

    def fields(self, schema: dict[str, Any], indent: str = "  ") -> str:
        required = schema.get("required", ())
        lines = (
            f"{indent}{name}{'' if name in required else '?'}: {self.of(each)};\n"
            for name, each in schema["properties"].items()
        )
        return "".join(lines)


def api_ts() -> str:
    api = document("0")
    types = Types(api["components"]["schemas"])
    functions = []
    for path, methods in sorted(api["paths"].items()):
        for method, operation in methods.items():
            answers = operation["responses"]
            content = next(iter(answers.values())).get("content", {})
            if any(not kind.startswith("application/json") for kind in content) or "x-stream" in operation:
                continue
            functions.append(_function(path, method, operation, types))
    return f'{HEAD}import {{ ask }} from "../ask";\n\n{types.all()}\n' + "\n".join(functions)


def _function(path: str, method: str, operation: dict[str, Any], types: Types) -> str:
    fields = [
        f"{each['name']}{'' if each['required'] else '?'}: {types.of(each['schema'])}"
        for each in operation["parameters"]
        if each["in"] != "header"
    ]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    takes = [f"{{ {'; '.join(fields)} }}"] if fields else []
    if body is not None:
        takes.append(types.of(body))
    answer = next(iter(operation["responses"].values())).get("content", {}).get("application/json", {})
    gives = types.of(answer["schema"]) if answer else "void"
    name = _camel(operation["operationId"])
    argument = f"args: {' & '.join(takes)}" if takes else "args: {} = {}"
    return (
        f"/** {operation['summary']} */\n"
        f"export const {name} = ({argument}): Promise<{gives}> =>\n"
        f'  ask("{method.upper()}", "{path}", args);\n'
    )


def states_ts() -> str:
    looks = {type_.value: {"glyph": glyph} for type_, (_, glyph) in states.LOOKS.items()}
    names = {name: type_.value for name, type_ in states.NAMES.items()}
    final = sorted(type_.value for type_ in states.FINAL)
    return (
        f'{HEAD}import type {{ StateType }} from "./api";\n\n'
        "/** One glyph a type of state; its colour is the variable `--state-TYPE` of states.css. */\n"
        f"export const LOOKS: Record<StateType, {{ glyph: string }}> = {_pretty(looks)};\n\n"
        "/** The names that the engine writes, and their types. */\n"
        f"export const NAMES: Record<string, StateType> = {_pretty(names)};\n\n"
        f"export const FINAL: ReadonlySet<StateType> = new Set<StateType>({json.dumps(final)});\n"
    )


def states_css() -> str:
    """Colours for both themes, from one table: the dark one's are lightened until text in them can be read."""
    light = "".join(f"  --state-{each.value.lower()}: {colour};\n" for each, (colour, _) in states.LOOKS.items())
    dark = "".join(f"  --state-{each.value.lower()}: {_lighter(c)};\n" for each, (c, _) in states.LOOKS.items())
    text = "".join(
        f"  --state-{each.value.lower()}-text: {_readable(c, '#ffffff', darker=True)};\n"
        for each, (c, _) in states.LOOKS.items()
    )
    dark_text = "".join(
        f"  --state-{each.value.lower()}-text: {_readable(c, '#1d2128', darker=False)};\n"
        for each, (c, _) in states.LOOKS.items()
    )
    uses = "".join(
        f".state-{each.value.lower()} {{\n  --state: var(--state-{each.value.lower()});\n"
        f"  --state-text: var(--state-{each.value.lower()}-text);\n}}\n"
        for each in states.LOOKS
    )
    head = "/* Written by ui/generate.py. Do not edit. */\n\n"
    return f'{head}:root {{\n{light}{text}}}\n:root[data-theme="dark"] {{\n{dark}{dark_text}}}\n{uses}'


def _lighter(colour: str) -> str:
    return _readable(colour, "#1d2128", darker=False, least=3.6)


def _readable(colour: str, ground: str, *, darker: bool, least: float = 4.8) -> str:
    """The colour, moved towards black or white until it stands out from the ground (WCAG's contrast)."""
    toward = 0 if darker else 255
    red, green, blue = _rgb(colour)
    for step in range(101):
        share = step / 100
        moved = tuple(round(each + (toward - each) * share) for each in (red, green, blue))
        if _contrast(moved, _rgb(ground)) >= least:
            return "#" + "".join(f"{each:02x}" for each in moved)
    raise AssertionError(colour)


def _rgb(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[at : at + 2], 16) for at in (1, 3, 5))


def _contrast(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    def luminance(rgb: tuple[int, ...]) -> float:
        parts = [each / 255 for each in rgb]
        linear = [each / 12.92 if each <= 0.03928 else ((each + 0.055) / 1.055) ** 2.4 for each in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.title() for word in rest)


FILES = {"api.ts": api_ts, "states.ts": states_ts, "states.css": states_css}

if __name__ == "__main__":
    HERE.mkdir(parents=True, exist_ok=True)
    for name, make in FILES.items():
        (HERE / name).write_text(make(), encoding="utf-8")
