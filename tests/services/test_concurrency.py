"""Slots: never more than there are, handed on in order, and free when who held them is gone. On each database."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import pytest

from penstock.domain.accounts import ADMIN, Asker
from penstock.domain.concurrency import Claimed, Reserved
from penstock.domain.rules import Facts
from penstock.domain.runs import Holder
from penstock.domain.states import make
from penstock.engine.clock import SYSTEM
from penstock.exceptions import ConcurrencyError, ConcurrencySlotAcquisitionError, NameTaken, ObjectNotFound
from penstock.protocol import concurrency_limits as asked
from penstock.protocol.operation import Nothing, Unchanged
from penstock.services import concurrency, ingest, orchestrate
from penstock.services.answers import concurrency_limits as answers
from penstock.services.desk import Desk
from penstock.services.rescue import rescue
from penstock.store import flow_runs, holders
from penstock.store.contract import Store
from penstock.vault import Vault

from ..store.kit import HOLDER, at, flow_run, task_run

assert answers
OTHER = Holder("host", "boot", 124, "457")
FAR = Holder("elsewhere", "boot", 7, "1")


class Office:
    """A desk with a clock of the test's own, and processes that live until the test says otherwise."""

    def __init__(self, store: Store, vault: Vault) -> None:
        self.store = store
        self.second = 0.0
        self.dead: set[Holder] = set()
        self.desk = Desk(store, vault, self.now, self.lives, "somebody")

    def now(self) -> datetime:
        return at(self.second)

    def lives(self, holder: Holder) -> bool | None:
        return None if holder.host == FAR.host else holder not in self.dead

    def limit(self, name: str, limit: int, **fields: object) -> asked.LimitRead:
        return self.desk.answer(asked.CREATE_LIMIT, asked.CreateLimit(name=name, limit=limit, **fields))

    def read(self, name: str) -> asked.LimitRead:
        return self.desk.answer(asked.READ_LIMIT, asked.ByIdOrName(name))

    def change(self, name: str, **fields: object) -> asked.LimitRead:
        return self.desk.answer(asked.UPDATE_LIMIT, asked.UpdateLimit(id_or_name=name, **fields))

    def claim(self, *names: str, id: UUID | None = None, **fields: object) -> tuple[UUID, Claimed]:
        id = id or SYSTEM.new_id()
        if "lease_seconds" not in fields:
            fields.setdefault("holder", HOLDER)
        return id, self.desk.answer(asked.CLAIM_SLOTS, asked.ClaimSlots(id=id, names=list(names), **fields))

    def release(self, *ids: UUID) -> None:
        self.desk.answer(asked.RELEASE_SLOTS, asked.ReleaseSlots(ids=list(ids)))

    def holding(self, name: str) -> list[UUID]:
        return [each.id for each in self.read(name).holding]

    def waiting(self, name: str) -> list[UUID]:
        return [each.id for each in self.read(name).waiting]

    def arrived(self, waiter: UUID, *waiting: UUID) -> list[UUID]:
        query = asked.WaitForSlots(waiter=waiter, waiting=list(waiting))
        return self.desk.wait_for_answer(asked.WAIT_FOR_SLOTS, query).ids

    def reserve(self, *names: str, **fields: object) -> Reserved:
        return self.desk.answer(asked.RESERVE_RATE, asked.ReserveRate(names=list(names), **fields))


@pytest.fixture
def office(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Office:
    return Office(store, Vault(tmp_path_factory.mktemp("vault") / "secret.key", None))


def test_a_claim_that_arrives_once_more_after_its_end_takes_nothing(office: Office) -> None:
    office.limit("db", 1)
    office.desk = office.desk.asked_by(Asker(who="a program", role=ADMIN))
    id, claimed = office.claim("db")
    assert claimed.taken
    office.desk.answer(asked.RELEASE_SLOTS, asked.ReleaseSlots(ids=[id]))
    office.desk.answer(asked.RELEASE_SLOTS, asked.ReleaseSlots(ids=[id]))
    with pytest.raises(ConcurrencyError, match="was given back"):
        office.claim("db", id=id)
    assert not office.read("db").holding


def test_who_comes_when_all_slots_are_taken_waits_and_is_told_for_what(office: Office) -> None:
    office.limit("db", 1)
    first, taken = office.claim("db")
    second, waits = office.claim("db")
    third, behind = office.claim("db")
    assert taken == Claimed(taken=True)
    assert waits == Claimed(taken=False, limit="db", slots=1, place=1)
    assert behind.place == 2
    assert (office.holding("db"), office.waiting("db")) == ([first], [second, third])


def test_whoever_frees_a_slot_hands_it_to_the_next(office: Office) -> None:
    office.limit("db", 1)
    ids = [office.claim("db")[0] for _ in range(5)]
    for place, id in enumerate(ids):
        assert office.holding("db") == [id]
        assert office.waiting("db") == ids[place + 1 :]
        office.release(id)
    assert office.read("db").active_slots == 0


def test_the_same_claim_asked_again_is_the_same_claim(office: Office) -> None:
    office.limit("db", 1)
    id, _ = office.claim("db")
    assert office.claim("db", id=id)[1].taken
    assert office.read("db").active_slots == 1
    other, waits = office.claim("db")
    assert office.claim("db", id=other)[1] == waits


def test_who_leaves_the_queue_makes_room_for_those_behind(office: Office) -> None:
    office.limit("db", 2)
    holding, _ = office.claim("db")
    greedy, waits = office.claim("db", occupy=2)
    modest, behind = office.claim("db")
    assert not waits.taken
    assert not behind.taken
    office.release(greedy)
    assert office.holding("db") == [holding, modest]


def test_who_does_not_want_to_wait_is_not_in_the_queue(office: Office) -> None:
    office.limit("db", 1)
    office.claim("db")
    assert not office.claim("db", wait=False)[1].taken
    assert office.waiting("db") == []


def test_a_name_without_a_limit_limits_nothing_unless_that_is_wanted(office: Office) -> None:
    assert office.claim("nothing")[1] == Claimed(taken=True, missing=("nothing",))
    with pytest.raises(ConcurrencySlotAcquisitionError, match="There is no concurrency limit 'nothing'"):
        office.claim("nothing", strict=True)


def test_more_than_there_is_is_refused_and_not_queued(office: Office) -> None:
    office.limit("db", 2)
    with pytest.raises(ConcurrencyError, match="can never be had"):
        office.claim("db", occupy=3)
    assert office.waiting("db") == []


def test_slots_end_with_their_task_run_in_the_transaction_that_ends_it(office: Office) -> None:
    office.limit("tag:db", 1)
    flow = flow_run("Pending")
    running = task_run("Pending", "Running", flow_run_id=flow.id)
    with office.store.write() as tx:
        orchestrate.begin(tx, flow, make("Running", at(1)))
        ingest.apply(tx, [running])
    office.claim("tag:db", run_id=running.id, flow_run_id=flow.id)
    next_one, _ = office.claim("tag:db")
    running.enter(make("Completed", at(2)))
    with office.store.write() as tx:
        ingest.apply(tx, [running])
    assert office.holding("tag:db") == [next_one]


def test_slots_end_with_the_flow_run_that_their_code_is_in(office: Office) -> None:
    office.limit("db", 1)
    flow = flow_run("Pending")
    with office.store.write() as tx:
        orchestrate.begin(tx, flow, make("Running", at(1)))
    office.claim("db", run_id=SYSTEM.new_id(), flow_run_id=flow.id)
    next_one, _ = office.claim("db")
    with office.store.write() as tx:
        orchestrate.enter(tx, flow.id, make("Completed", at(2)), Facts())
    assert office.holding("db") == [next_one]


def test_rescue_frees_the_slots_of_the_dead_with_and_without_runs(office: Office) -> None:
    office.limit("db", 2)
    flow = flow_run("Pending", "Running", holder=OTHER)
    with office.store.write() as tx:
        flow_runs.put(tx, flow)
    office.claim("db", holder=OTHER, run_id=flow.id, flow_run_id=flow.id)
    office.claim("db", holder=OTHER)
    waiting, waits = office.claim("db", occupy=2)
    assert not waits.taken
    office.dead.add(OTHER)
    rescue(office.store, office.lives, office.now)
    assert office.holding("db") == [waiting]


def test_a_waiter_that_died_leaves_the_queue(office: Office) -> None:
    office.limit("db", 1)
    first, _ = office.claim("db")
    office.claim("db", holder=OTHER)
    third, _ = office.claim("db")
    office.dead.add(OTHER)
    office.release(first)  # handed to the dead, for whoever frees a slot asks after nobody
    waiter = SYSTEM.new_id()
    fourth, waits = office.claim("db", waiter=waiter)
    assert office.holding("db") == [third]
    assert office.waiting("db") == [fourth]
    assert waits.place == 1


def test_who_waits_notices_that_who_holds_is_gone(office: Office) -> None:
    office.limit("db", 1)
    office.claim("db", holder=OTHER)
    waiter = SYSTEM.new_id()
    id, _ = office.claim("db", waiter=waiter)
    assert office.arrived(waiter, id) == []
    office.dead.add(OTHER)
    assert office.arrived(waiter, id) == [id]


def test_a_process_that_cannot_be_seen_holds_its_slots_as_long_as_its_lease(office: Office) -> None:
    office.limit("db", 1)
    with office.store.write() as tx:
        holders.put(tx, FAR, at(60), True)
    office.claim("db", holder=FAR)
    waiter = SYSTEM.new_id()
    id, _ = office.claim("db", waiter=waiter)
    office.second = 59
    assert office.arrived(waiter, id) == []
    office.second = 61
    assert office.arrived(waiter, id) == [id]


def test_a_claim_without_a_process_lasts_as_long_as_it_is_renewed(office: Office) -> None:
    office.limit("db", 1)
    id, _ = office.claim("db", lease_seconds=10)
    office.second = 9
    office.claim("db", id=id, lease_seconds=10)
    office.second = 18
    assert not office.claim("db", wait=False)[1].taken
    office.second = 20
    assert office.claim("db", wait=False)[1].taken


def test_a_waiter_is_told_of_claims_that_it_forgot_to_mention(office: Office) -> None:
    office.limit("db", 1)
    waiter = SYSTEM.new_id()
    office.claim("db")
    first, _ = office.claim("db", waiter=waiter)
    second, _ = office.claim("db", waiter=waiter)
    assert office.desk.answer(asked.WAIT_FOR_SLOTS, asked.WaitForSlots(waiter=waiter, waiting=[first])).ids == []
    with pytest.raises(Unchanged):
        office.desk.answer(asked.WAIT_FOR_SLOTS, asked.WaitForSlots(waiter=waiter, waiting=[first, second]))


def test_all_of_several_limits_or_none(office: Office) -> None:
    office.limit("a", 1)
    office.limit("b", 1)
    a, _ = office.claim("a")
    both, waits = office.claim("b", "a")
    assert (waits.limit, waits.place) == ("a", 1)
    assert office.holding("b") == []
    office.release(a)
    assert office.holding("a") == office.holding("b") == [both]


def test_a_limit_that_is_raised_lowered_switched_off_reset_or_deleted_lets_those_in_who_fit(office: Office) -> None:
    office.limit("db", 1)
    ids = [office.claim("db")[0] for _ in range(6)]
    assert office.change("db", limit=2).active_slots == 2
    assert office.change("db", limit=1).active_slots == 2  # who has a slot keeps it
    office.release(ids[0])
    assert office.holding("db") == [ids[1]]
    office.desk.answer(asked.RESET_LIMIT, asked.ByIdOrName("db"))
    assert office.holding("db") == [ids[2]]
    office.change("db", active=False)
    assert office.waiting("db") == []
    assert office.claim("db")[1] == Claimed(taken=True)  # nothing is held of what is switched off
    office.change("db", active=True)
    waiter = SYSTEM.new_id()
    last, waits = office.claim("db", waiter=waiter)
    assert not waits.taken
    office.desk.answer(asked.DELETE_LIMIT, asked.ByIdOrName("db"))
    assert office.arrived(waiter, last) == [last]


def test_a_limit_is_known_by_name_and_id_and_there_is_one_of_a_name(office: Office) -> None:
    made = office.limit("tag:s3://bucket", 3)
    assert office.read(str(made.id)).name == "tag:s3://bucket"
    with pytest.raises(NameTaken):
        office.limit("tag:s3://bucket", 1)
    with pytest.raises(ObjectNotFound, match="Did you mean 'tag:s3://bucket'"):
        office.read("tag:s3://bucke")


def test_limits_are_listed_by_name_a_page_at_a_time(office: Office) -> None:
    for name in ("c", "a", "b", "tag:x", "tag:y"):
        office.limit(name, 1)
    office.change("tag:y", active=False)
    page = office.desk.answer(asked.FILTER_LIMITS, asked.FilterLimits(limit=2))
    rest = office.desk.answer(asked.FILTER_LIMITS, asked.FilterLimits(cursor=page.next))
    assert [each.name for each in [*page.items, *rest.items]] == ["a", "b", "c", "tag:x", "tag:y"]
    assert rest.next is None
    assert office.desk.answer(asked.LIMITED_TAGS, Nothing()).tags == ["x"]


def test_a_rate_is_kept_exactly_by_all_who_share_it(office: Office) -> None:
    office.limit("api", 1, slot_decay_per_second=2.0)
    goes_on = []
    for second in (0.0, 0.0, 0.1, 0.2, 5.0, 5.1):
        office.second = second
        reserved = office.reserve("api")
        assert reserved.taken
        goes_on.append(round(second + reserved.seconds, 6))
    assert goes_on == [0.0, 0.5, 1.0, 1.5, 5.0, 5.5]


def test_who_would_wait_too_long_for_a_rate_takes_nothing(office: Office) -> None:
    office.limit("api", 1, slot_decay_per_second=1.0)
    assert office.reserve("api").seconds == 0
    refused = office.reserve("api", longest=0.5)
    assert (refused.taken, refused.seconds) == (False, 1.0)
    assert office.reserve("api", longest=1.0).taken


def test_what_was_reserved_and_not_waited_for_can_be_given_back(office: Office) -> None:
    office.limit("api", 1, slot_decay_per_second=1.0)
    office.reserve("api")
    office.reserve("api")
    office.desk.answer(asked.GIVE_BACK_RATE, asked.GiveBackRate(names=["api"]))
    assert office.reserve("api").seconds == 1.0


def test_only_a_limit_with_decay_limits_a_rate(office: Office) -> None:
    office.limit("db", 1)
    with pytest.raises(ConcurrencySlotAcquisitionError, match="has no slot decay"):
        office.reserve("db")


def test_a_claim_says_which_of_its_names_are_rates(office: Office) -> None:
    office.limit("db", 1)
    office.limit("api", 1, slot_decay_per_second=1.0)
    _, claimed = office.claim("db", "api")
    assert (claimed.taken, claimed.rates) == (True, ("api",))
    assert office.read("api").active_slots == 0


def test_while_nobody_holds_anything_ends_of_runs_ask_once_and_change_nothing(office: Office) -> None:
    statements: list[str] = []

    class Counting:
        def __init__(self, tx: object) -> None:
            self._tx = tx

        def row(self, sql: str, params: object = ()) -> object:
            statements.append(sql)
            return self._tx.row(sql, params)  # type: ignore[attr-defined]

    with office.store.write() as tx:
        concurrency.end_with_runs(Counting(tx), (SYSTEM.new_id() for _ in range(1000)), at(1))  # type: ignore[arg-type]
    assert len(statements) == 1
