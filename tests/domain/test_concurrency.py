"""Who is next, and for how long a rate makes one wait: pure decisions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from penstock.domain import concurrency
from penstock.domain.concurrency import Claim, Claimed, ConcurrencyLimit, Queued
from penstock.exceptions import ConcurrencyError, InvalidName

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def limit(name: str, slots: int, **fields: object) -> ConcurrencyLimit:
    known = {"id": UUID(int=1), "name": name, "limit": slots, "created": NOW, "updated": NOW, "used_at": NOW}
    return ConcurrencyLimit(**{**known, **fields})


def limits(**slots: int) -> dict[str, ConcurrencyLimit]:
    return {name: limit(name, each) for name, each in slots.items()}


def claim(place: int, *names: str, occupy: int = 1, taken: bool = False) -> Claim:
    return Claim(id=UUID(int=place), names=names, occupy=occupy, place=place, asked=NOW, taken=NOW if taken else None)


def granted(limits: dict[str, ConcurrencyLimit], claims: list[Claim]) -> list[Claim]:
    """Of claims, some of which are taken."""
    held: Counter[str] = Counter()
    for each in claims:
        if each.taken is not None:
            held.update(dict.fromkeys(each.names, each.occupy))
    waiting = [each for each in claims if each.taken is None]
    names = {name for each in waiting for name in each.names}
    queued = (Queued(each.id, each.names, each.occupy) for each in waiting)
    found = {each.id for each in concurrency.granted(limits, held, queued, names)}
    return [each for each in waiting if each.id in found]


def places(claims: list[Claim]) -> list[int]:
    return [each.place for each in claims]


def test_slots_are_given_in_the_order_of_arrival() -> None:
    waiting = [claim(1, "db"), claim(2, "db"), claim(3, "db")]
    assert places(granted(limits(db=2), waiting)) == [1, 2]


def test_who_wants_little_does_not_overtake_who_wants_much() -> None:
    claims = [claim(1, "db", taken=True), claim(2, "db", occupy=3), claim(3, "db")]
    assert granted(limits(db=3), claims) == []


def test_a_claim_on_several_limits_is_taken_whole_or_not_at_all() -> None:
    claims = [claim(1, "a", taken=True), claim(2, "a", "b"), claim(3, "b"), claim(4, "c")]
    # The third waits behind the second, which waits for a: else it could be overtaken for ever.
    assert places(granted(limits(a=1, b=1, c=1), claims)) == [4]


def test_of_a_long_queue_only_the_beginning_is_read() -> None:
    read: list[int] = []

    def queue() -> Iterator[Queued]:
        for place in range(1_000_000):
            read.append(place)
            yield Queued(UUID(int=place), ("db",), 1)

    assert len(concurrency.granted(limits(db=3), {"db": 1}, queue(), {"db"})) == 2
    assert len(read) == 3


def test_claims_on_the_same_limits_in_any_order_go_on() -> None:
    claims = [claim(1, "a", "b"), claim(2, "b", "a")]
    assert places(granted(limits(a=1, b=1), claims)) == [1]
    assert places(granted(limits(a=1, b=1), claims[1:])) == [2]


def test_what_is_not_limited_or_switched_off_holds_nobody_back() -> None:
    claims = [claim(1, "off", taken=True), claim(2, "off"), claim(3, "gone")]
    assert places(granted({"off": limit("off", 1, active=False)}, claims)) == [2, 3]


def test_a_claim_that_a_lowered_limit_can_never_grant_is_in_nobodys_way() -> None:
    claims = [claim(1, "db", occupy=5), claim(2, "db")]
    assert places(granted(limits(db=2), claims)) == [2]


def test_a_limit_of_none_is_closed() -> None:
    claims = [claim(1, "db"), claim(2, "db")]
    assert granted(limits(db=0), claims) == []
    concurrency.check_occupy(limit("db", 0), 3)  # it may be opened


def test_more_than_there_is_can_never_be_had_and_is_told_so() -> None:
    with pytest.raises(ConcurrencyError, match="5 slots of 'db' can never be had: it has 2"):
        concurrency.check_occupy(limit("db", 2), 5)


def test_a_rate_is_kept_to_the_microsecond() -> None:
    rate = limit("api", 2, slot_decay_per_second=4.0)
    waits = []
    for _ in range(6):
        seconds, used = rate.reserved(1, NOW)
        rate = limit("api", 2, slot_decay_per_second=4.0, used=used)
        waits.append(seconds)
    assert waits == [0.0, 0.0, 0.25, 0.5, 0.75, 1.0]
    later = NOW + timedelta(seconds=1)
    assert rate.used_now(later) == 2.0
    assert rate.reserved(1, later)[0] == 0.25


def test_a_clock_that_was_set_back_frees_nothing() -> None:
    rate = limit("api", 1, slot_decay_per_second=1.0, used=1.0)
    assert rate.used_now(NOW - timedelta(hours=1)) == 1.0


def test_why_a_run_waits_is_one_sentence() -> None:
    claimed = Claimed(taken=False, limit="tag:database", slots=3, place=2)
    assert concurrency.why_waiting(claimed, 1) == "Waiting for 1 of 3 slots of limit 'database' (place 2 in the queue)"


@pytest.mark.parametrize("name", ["", " a", "a\n", "x" * 256, "\0", 5])
def test_a_name_is_printable_text(name: object) -> None:
    with pytest.raises(InvalidName):
        concurrency.check_name(name)
