"""The rule for clients and servers of different ages: a server understands clients of its own protocol and of the one
before. Anything else is told plainly, by who notices it first."""

from __future__ import annotations

from ..domain.errors import VersionSkew

# Raised when a client of the former number could not work with a server of this one, or the other way round.
PROTOCOL = 1
OLDEST = max(PROTOCOL - 1, 1)
HEADER = "penstock-protocol"


def check_client(number: str | None) -> None:
    """What a server makes of a client's header; who sends none is no client of ours, and speaks plain REST. Raises
    `VersionSkew`."""
    if number is None:
        return
    if not number.isdecimal() or len(number) > 9 or not OLDEST <= int(number) <= PROTOCOL:
        understood = str(PROTOCOL) if OLDEST == PROTOCOL else f"{OLDEST} and {PROTOCOL}"
        side = "the client" if not number.isdecimal() or int(number[:9]) < OLDEST else "the server"
        raise VersionSkew(
            f"This client speaks protocol {number[:20]}, this server understands {understood}. Upgrade {side}: clients "
            "may be one version behind their server, not ahead of it."
        )


def check_server(number: str | None, where: str) -> None:
    """What a client makes of a server's header. Raises `VersionSkew`."""
    if number is None or not number.isdecimal():
        raise VersionSkew(f"What answers at {where} is no Penstock server. Check PENSTOCK_API_URL.")
    if not PROTOCOL <= int(number[:9]) <= PROTOCOL + 1:
        side = "the server" if int(number[:9]) < PROTOCOL else "this client"
        raise VersionSkew(
            f"The server at {where} speaks protocol {number[:9]}, this client {PROTOCOL}. Upgrade {side}: clients may "
            "be one version behind their server, not ahead of it."
        )
