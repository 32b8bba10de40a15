"""Where runs are, for people: what would end one by hand, and what is known of its launch."""

from __future__ import annotations

from uuid import UUID

from penstock.cli.record import ask
from penstock.domain.errors import InfrastructureError, ObjectNotFound
from penstock.domain.launches import Launch, Place
from penstock.protocol.launches import READ_LAUNCH, LaunchOf


def by_hand(place: Place) -> str:
    """The command that would end what is there."""
    from penstock.settings import current
    from penstock.worker.starting import make_driver

    try:
        return make_driver(place.type, current()).by_hand(place)
    except InfrastructureError as error:
        return str(error)


def launch_of(run_id: UUID) -> Launch | None:
    """None for a run that nobody launched but its own program."""
    try:
        return ask(READ_LAUNCH, LaunchOf(run_id))
    except ObjectNotFound:
        return None
