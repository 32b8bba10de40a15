"""Seeing what automations fire for, and doing it; all but notifications, which take as long as others let them."""

from __future__ import annotations

from .. import automations
from ..desk import Desk


def once(desk: Desk) -> None:
    while automations.watch(desk.store, desk.now(), desk.lives, desk.ui_url):
        pass
    for firing in automations.to_do(desk.store, notifications=False):
        automations.act(desk.store, firing, desk.now(), desk.lives)
