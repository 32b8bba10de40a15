"""For the reader of docstrings (griffe): modules whose names are loaded when they are first used.

Such a module says what it offers in `_PLACES` and, for type checkers, by imports; `__all__` is made of the former when
it runs, which a reader that runs nothing cannot know.
"""

from __future__ import annotations

import ast
from typing import Any

import griffe


class Doors(griffe.Extension):
    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        for module in _modules(pkg):
            places = module.members.get("_PLACES")
            if isinstance(places, griffe.Attribute) and places.value is not None:
                named = ast.literal_eval(str(places.value))
                module.exports = [*named]
                for name, place in named.items():
                    if name not in module.members and isinstance(place, tuple):
                        target = ".".join(filter(None, [pkg.path, *place]))
                        module.set_member(name, griffe.Alias(name, target, parent=module))

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        # `Example::` is what comes before code in the form of docstrings that Python's own tools read.
        if obj.docstring is not None:
            obj.docstring.value = obj.docstring.value.replace("::\n\n", ":\n\n")


def _modules(module: griffe.Module) -> list[griffe.Module]:
    below = [each for each in module.modules.values() if isinstance(each, griffe.Module)]
    return [module, *(found for each in below for found in _modules(each))]
