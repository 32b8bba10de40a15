"""Rewrites Python code that was written for Prefect: its imports, and the names that they bring.

Law: only what is certain is changed, by the table in `names`; all else stays as it is and is listed, with its line and
what is nearest. Layout and comments stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import libcst as cst
import libcst.matchers as m
from libcst.metadata import MetadataWrapper, ParentNodeProvider, PositionProvider, QualifiedNameProvider
from libcst.metadata import QualifiedName as Qualified

from . import names
from .names import Place

_LOGGERS = frozenset({"prefect", "prefect.flow_runs", "prefect.task_runs"})
_PLAIN_CALLS = frozenset({"load", "save", "delete", "get", "set", "unset"})


class Finding(NamedTuple):
    """What a person must look at."""

    line: int
    what: str


class Rewritten(NamedTuple):
    """Code as it is then, and what is left for a person."""

    code: str
    findings: tuple[Finding, ...]


def rewrite(code: str) -> Rewritten:
    """Code with our names. Raises `libcst.ParserSyntaxError` for what is no Python.

    Example::

        rewrite("from prefect import flow\\n").code == "from penstock import flow\\n"
    """
    if "prefect" not in code and "PREFECT_" not in code:
        return Rewritten(code, ())
    rewriter = _Rewriter()
    changed = MetadataWrapper(cst.parse_module(code)).visit(rewriter)
    return Rewritten(changed.code, tuple(sorted(rewriter.findings)))


class _Rewriter(cst.CSTTransformer):
    METADATA_DEPENDENCIES = (PositionProvider, ParentNodeProvider, QualifiedNameProvider)

    def __init__(self) -> None:
        super().__init__()
        self.findings: set[Finding] = set()
        self._replaced: set[cst.CSTNode] = set()
        # the blocks that have an `import penstock` already
        self._imported: set[cst.CSTNode] = set()
        # `prefect` itself is a value in this file; or a name of it is asked for that is not here
        self._is_value = self._is_needed = False

    def visit_Module(self, node: cst.Module) -> None:
        """A look at how `prefect` is used, before anything is changed."""
        for name in m.findall(node, m.Name("prefect")):
            parent = self.get_metadata(ParentNodeProvider, name)
            if self._is_of_import(parent):
                continue
            if isinstance(parent, cst.Attribute) and parent.value is name:
                if not self._is_resolved(parent):
                    self._is_needed = True
            elif not (isinstance(parent, cst.Attribute) and parent.attr is name):
                self._is_value = True
                self._find(name, "prefect itself is used as a value here: nothing that goes by `prefect.` was changed.")

    def _is_of_import(self, parent: Any) -> bool:
        while isinstance(parent, cst.Attribute):
            parent = self.get_metadata(ParentNodeProvider, parent)
        return isinstance(parent, cst.ImportAlias | cst.ImportFrom)

    def _is_resolved(self, node: cst.CSTNode) -> bool:
        """Whether a name that begins with `prefect.` is here, or something that it begins with."""
        while isinstance(node, cst.Attribute):
            module, _, name = _dotted(node).rpartition(".")
            if names.place_of(module, name) is not None and names.NAMES[module][name].moved[0] is not None:
                return True
            if module == "prefect.settings" and name.startswith("PREFECT_"):
                return True
            node = self.get_metadata(ParentNodeProvider, node)
        return False

    def _find(self, node: cst.CSTNode, what: str) -> None:
        position: Any = self.get_metadata(PositionProvider, node)
        self.findings.add(Finding(position.start.line, what))

    # --- imports ------------------------------------------------------------------------------------------------------

    def leave_SimpleStatementLine(
        self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
    ) -> cst.SimpleStatementLine | cst.FlattenSentinel[cst.SimpleStatementLine] | cst.RemovalSentinel:
        made: list[cst.BaseSmallStatement] = []
        touched = False
        for before, after in zip(original_node.body, updated_node.body, strict=True):
            found = self._import_from(before) if isinstance(before, cst.ImportFrom) else None
            if isinstance(before, cst.Import):
                found = self._import(before, self.get_metadata(ParentNodeProvider, original_node))
            touched = touched or found is not None
            made += [after] if found is None else found
        if not touched:
            return updated_node
        if not made:
            return cst.RemovalSentinel.REMOVE
        return cst.FlattenSentinel(_lines(made, updated_node))

    def leave_SimpleStatementSuite(
        self, original_node: cst.SimpleStatementSuite, updated_node: cst.SimpleStatementSuite
    ) -> cst.SimpleStatementSuite:
        """`if …: import prefect`, on one line."""
        made: list[cst.BaseSmallStatement] = []
        for before, after in zip(original_node.body, updated_node.body, strict=True):
            found = self._import_from(before) if isinstance(before, cst.ImportFrom) else None
            if isinstance(before, cst.Import):
                found = self._import(before, original_node)
            made += [after] if found is None else found or [cst.Pass()]
        plain = [each.with_changes(semicolon=cst.MaybeSentinel.DEFAULT) for each in made]
        return updated_node.with_changes(body=plain)

    def _import_from(self, node: cst.ImportFrom) -> list[cst.BaseSmallStatement] | None:
        """What stands in the place of `from prefect… import …`; None if it stays."""
        module = _dotted(node.module) if node.module is not None and not node.relative else ""
        head = module.partition(".")[0]
        if head in names.INTEGRATIONS:
            self._find(node, f"{head} is not offered; the nearest is {names.INTEGRATIONS[head]}.")
            return None
        if head not in names.PACKAGES:
            return None
        if isinstance(node.names, cst.ImportStar):
            self._find(node, f"from {module} import *: name what is wanted.")
            return None
        moved: dict[str, list[cst.ImportAlias]] = {}
        left: list[cst.ImportAlias] = []
        for alias in node.names:
            place = self._place(node, module, str(alias.evaluated_name))
            if place is None:
                left.append(alias)
                continue
            asname = alias.asname
            if asname is None and place.name != alias.evaluated_name:  # whoever uses it, by whatever way, finds it
                asname = cst.AsName(cst.Name(str(alias.evaluated_name)))
            moved.setdefault(place.module, []).append(alias.with_changes(name=cst.Name(place.name), asname=asname))
        if not moved:
            return None
        made: list[cst.BaseSmallStatement] = [
            node.with_changes(module=_expression(place), names=_without_last_comma(aliases), lpar=None, rpar=None)
            if len(moved) > 1 or left or _is_short(node)
            else node.with_changes(module=_expression(place), names=aliases)
            for place, aliases in moved.items()
        ]
        if left:
            made.append(node.with_changes(names=_without_last_comma(left), lpar=None, rpar=None))
        return made

    def _place(self, node: cst.CSTNode, module: str, name: str) -> Place | None:
        """Where a name that is imported is here; None, and a finding, if that is for a person to say."""
        if f"{module}.{name}" in names.OFFERED and names.place_of(module, name) is None:
            whole = _whole(f"{module}.{name}")
            if whole is not None:
                package, _, last = whole.rpartition(".")
                if _alone(f"{module}.{name}"):
                    self._find(node, f"{', '.join(_alone(f'{module}.{name}'))} of {module}.{name} are not in {whole}.")
                return Place(package, last)
            self._find(node, f"{module}.{name}: import the names of it that are wanted.")
            return None
        if module == "prefect.settings" and name.startswith("PREFECT_"):
            from ..settings.table import SETTINGS

            ours = names.setting_of(name)
            if ours in SETTINGS:
                return Place("penstock.settings", ours)
        found = names.place_of(module, name)
        if found is None:
            near = names.nearest(f"{module}.{name}")
            self._find(node, f"{module}.{name} is not offered" + (f"; the nearest is {near}." if near else "."))
            return None
        moved, note = found.moved
        if note:
            self._find(node, f"{module}.{name}: {note}.")
        return moved

    def _import(self, node: cst.Import, block: Any) -> list[cst.BaseSmallStatement] | None:
        """What stands in the place of `import prefect…`; None if it stays."""
        made: list[cst.ImportAlias] = []
        touched = False
        for alias in node.names:
            module = str(alias.evaluated_name)
            head = module.partition(".")[0]
            if head in names.INTEGRATIONS:
                self._find(node, f"{head} is not offered; the nearest is {names.INTEGRATIONS[head]}.")
            own_name = alias.asname is not None and alias.evaluated_alias == "prefect"
            if head != "prefect" or own_name or (alias.asname is None and self._is_value):
                made.append(alias)
                continue
            target = "penstock" if alias.asname is None else _whole(module)
            if target is None:
                self._find(node, f"import {module} as …: its names are in several modules here; import the names.")
                made.append(alias)
                continue
            touched = True
            if alias.asname is not None and _alone(module):
                self._find(node, f"{', '.join(_alone(module))} of {module} are not in {target}.")
            if alias.asname is None:
                if self._is_needed:  # by names that a person must replace
                    made.append(alias)
                if block in self._imported:
                    continue
                self._imported.add(block)
            made.append(alias.with_changes(name=_expression(target)))
        if not touched:
            return None
        return [node.with_changes(names=_without_last_comma(made))] if made else []

    # --- names --------------------------------------------------------------------------------------------------------

    def leave_Attribute(self, original_node: cst.Attribute, updated_node: cst.Attribute) -> cst.BaseExpression:
        if _root(original_node) != "prefect" or self._is_value:
            return updated_node
        for dotted in self._imports_of(original_node):
            if not dotted.startswith("prefect."):
                continue
            module, _, name = dotted.rpartition(".")
            if names.place_of(module, name) is not None or (
                module == "prefect.settings" and name.startswith("PREFECT_")
            ):
                place = self._place(original_node, module, name)
                if place is not None:
                    self._replaced.add(original_node)
                    return _expression(f"{place.module}.{place.name}")
            elif (
                not self._is_inner(original_node)
                and dotted not in names.OFFERED
                and not self._has_replaced(original_node)
            ):
                near = names.nearest(dotted)
                self._find(original_node, f"{dotted} is not offered" + (f"; the nearest is {near}." if near else "."))
        return updated_node

    def _is_inner(self, node: cst.CSTNode) -> bool:
        parent = self.get_metadata(ParentNodeProvider, node)
        return isinstance(parent, cst.Attribute) and parent.value is node

    def _has_replaced(self, node: cst.CSTNode) -> bool:
        while isinstance(node, cst.Attribute):
            if node in self._replaced:
                return True
            node = node.value
        return False

    def _imports_of(self, node: cst.CSTNode) -> list[str]:
        found: Iterable[Qualified] = self.get_metadata(QualifiedNameProvider, node, ())
        return [each.name for each in found if each.source.name == "IMPORT"]

    # --- what is only said --------------------------------------------------------------------------------------------

    def visit_Await(self, node: cst.Await) -> None:
        call = node.expression
        if isinstance(call, cst.Call) and isinstance(call.func, cst.Attribute):
            known = any(each.startswith("prefect.") for each in self._imports_of(call.func))
            if known and call.func.attr.value in _PLAIN_CALLS:
                self._find(node, f"await …{call.func.attr.value}(): {names.AWAITED}.")

    def visit_SimpleString(self, node: cst.SimpleString) -> None:
        value = node.evaluated_value
        if not isinstance(value, str):
            return
        if value.startswith("PREFECT_") and value.replace("_", "").isalnum():
            self._find(node, f"{value} is {names.setting_of(value)} here.")
        elif value.startswith("prefect.") and value not in _LOGGERS and value.replace(".", "").isidentifier():
            self._find(node, f"It names {value} in a text.")
        elif value in _LOGGERS:
            self._find(node, f"The logger {value!r} is {value.replace('prefect', 'penstock')!r} here.")


def _dotted(node: cst.BaseExpression) -> str:
    if isinstance(node, cst.Attribute):
        return f"{_dotted(node.value)}.{node.attr.value}"
    return node.value if isinstance(node, cst.Name) else ""


def _root(node: cst.BaseExpression) -> str:
    while isinstance(node, cst.Attribute):
        node = node.value
    return node.value if isinstance(node, cst.Name) else ""


def _expression(dotted: str) -> cst.Attribute | cst.Name:
    head, *rest = dotted.split(".")
    made: cst.Attribute | cst.Name = cst.Name(head)
    for part in rest:
        made = cst.Attribute(made, cst.Name(part))
    return made


def _whole(module: str) -> str | None:
    """The one module of ours in which all names of a module of Prefect's are, as they are called there; but for those
    that are here for Prefect's code only (`_alone`)."""
    if module in names.WHOLE:
        return names.WHOLE[module]
    found = {theirs: place for theirs, place in names.NAMES.get(module, {}).items() if place.moved[0] == place}
    places = {place.module for place in found.values()}
    same = all(place.name == theirs for theirs, place in found.items())
    return places.pop() if len(places) == 1 and same else None


def _alone(module: str) -> list[str]:
    return [theirs for theirs, place in names.NAMES.get(module, {}).items() if place.moved[0] != place]


def _is_short(node: cst.ImportFrom) -> bool:
    return node.lpar is None


def _without_last_comma(aliases: Sequence[cst.ImportAlias]) -> list[cst.ImportAlias]:
    plain = [alias.with_changes(comma=cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))) for alias in aliases]
    plain[-1:] = [plain[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)]
    return plain


def _lines(made: Sequence[cst.BaseSmallStatement], line: cst.SimpleStatementLine) -> list[cst.SimpleStatementLine]:
    """Each statement on a line of its own; what stood before and behind the old line stays there."""
    plain = [each.with_changes(semicolon=cst.MaybeSentinel.DEFAULT) for each in made]
    lines = [cst.SimpleStatementLine([each]) for each in plain]
    lines[0] = lines[0].with_changes(leading_lines=line.leading_lines)
    lines[-1] = lines[-1].with_changes(trailing_whitespace=line.trailing_whitespace)
    return lines
