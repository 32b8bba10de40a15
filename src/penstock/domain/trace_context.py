"""W3C trace context as it travels with runs: in a run's labels, in the environment, with a request.

Law: nothing here knows of OpenTelemetry. A record, and a server, pass the two texts on, whether they trace or not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# Names of labels, of HTTP headers, and (in capitals) of variables of the environment.
TRACEPARENT, TRACESTATE = "traceparent", "tracestate"
# Of the known version; a later one has the same four parts first.
PATTERN = r"^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-[\x21-\x7e]{1,200})?$"
MOST_STATE = 512
_valid = re.compile(PATTERN)


def trace_of(texts: Mapping[str, str | None]) -> dict[str, str]:
    """What of these is trace context: `traceparent`, perhaps `tracestate`; {} where there is none that can be read."""
    parent, state = texts.get(TRACEPARENT), texts.get(TRACESTATE)
    if not parent or _valid.match(parent) is None:
        return {}
    found = {TRACEPARENT: parent}
    if state and len(state) <= MOST_STATE and state.isascii() and state.isprintable():
        found[TRACESTATE] = state
    return found


def trace_in(environment: Mapping[str, str]) -> dict[str, Any]:
    """The trace that a program was started in: its variables TRACEPARENT and TRACESTATE."""
    return trace_of({name: environment.get(name.upper()) for name in (TRACEPARENT, TRACESTATE)})


def trace_id_of(labels: Mapping[str, str]) -> str | None:
    """The trace that a run is of, 32 hexadecimal digits; None for a run that is of none."""
    found = trace_of(labels)
    return found[TRACEPARENT].split("-")[1] if found else None
