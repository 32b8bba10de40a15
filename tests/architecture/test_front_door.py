"""The names of the front door and the names of the rooms behind it."""

from __future__ import annotations

import pkgutil

import penstock


def test_no_room_has_the_name_of_what_the_front_door_gives() -> None:
    """Importing a module makes it an attribute of its package: a room named `serve` would hide the function."""
    rooms = {module.name for module in pkgutil.iter_modules(penstock.__path__)}
    assert not rooms & set(penstock.__all__)
