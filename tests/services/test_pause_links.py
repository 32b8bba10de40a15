"""Links by which people answer without signing in: good for one answer, for a while, in one name. On each database."""

from __future__ import annotations

import pytest

from penstock.domain.pauses import Verdict
from penstock.domain.runs import FlowRun
from penstock.exceptions import InputRefused, LinkRefused, NotAllowed, ObjectNotFound, TransitionRefused
from penstock.services import pause_links
from penstock.services.pausing import Person
from penstock.store import flow_runs
from penstock.store.contract import Store

from .test_pausing import FIELDS, Office

APPROVE, REJECT = Verdict.APPROVE, Verdict.REJECT


class Links(Office):
    def make(self, run: FlowRun, to: str = "ann", seconds: float = 3600, **fields: object) -> str:
        fields = {"pause_id": None, **fields}
        return pause_links.create(self.store, run.id, to=to, who="bob", seconds=seconds, now=self.now(), **fields)[1]  # type: ignore[arg-type]

    def use(self, token: str, verdict: Verdict = APPROVE, **fields: object) -> FlowRun:
        return pause_links.use(self.store, token, verdict, now=self.now(), lives=self.lives, **fields)  # type: ignore[arg-type]

    def look(self, token: str) -> pause_links.Shown:
        return pause_links.look(self.store, token, self.now())


@pytest.fixture
def links(store: Store) -> Links:
    return Links(store)


def test_a_link_resumes_a_run_once_and_says_whose_it_was_and_who_made_it(links: Links) -> None:
    run = links.run()
    token = links.make(run)
    assert links.look(token).pause is None  # made before the run waits
    with pytest.raises(TransitionRefused, match="isn't paused"):
        links.use(token)
    links.pause(run)
    shown = links.look(token)
    assert shown.pause is not None
    assert shown.link.to == "ann"
    assert links.use(token, comment="fine", address="10.0.0.7").state.name == "Resuming"
    answer = links.latest(run).answer
    assert answer is not None
    assert (answer.who, answer.comment) == ("ann at 10.0.0.7 via link (made by bob)", "fine")
    for again in (links.use, links.look):
        with pytest.raises(LinkRefused, match=r"used at .* it approved"):
            again(token)


def test_a_link_that_is_forged_expired_or_of_a_deleted_run_decides_nothing(links: Links) -> None:
    run = links.run()
    links.pause(run)
    token = links.make(run, seconds=10)
    for forged in ("", "x" * 43, token[:-1], token + "=", token.swapcase(), "\ud800", "a\0b"):
        with pytest.raises(LinkRefused, match="no such link"):
            links.use(forged)
    links.second = 11
    with pytest.raises(LinkRefused, match="was good until"):
        links.use(token)
    with pytest.raises(LinkRefused, match="was good until"):
        links.look(token)
    assert links.read(run).state.name == "Paused"
    token = links.make(run)
    with links.store.write() as tx:
        flow_runs.delete(tx, [run.id])
    with pytest.raises(LinkRefused):
        links.use(token)


def test_an_answer_that_is_refused_does_not_spend_the_link(links: Links) -> None:
    run = links.run()
    links.pause(run, schema=FIELDS)
    token = links.make(run)
    with pytest.raises(InputRefused):
        links.use(token, input={"approved": "perhaps"})
    with pytest.raises(TransitionRefused, match="not for an approval"):
        links.use(token, REJECT)
    assert links.use(token, input={"approved": True}).state.name == "Resuming"


def test_a_link_decides_in_the_name_it_was_made_for_and_in_no_other(links: Links) -> None:
    run = links.run()
    links.pause(run, approval=True, approvers=("ann", "role:admin", "carl"), quorum=3)
    with pytest.raises(NotAllowed, match="not by eve"):
        links.use(links.make(run, "eve"))
    with pytest.raises(NotAllowed):  # that is for who is asked: "anyone with a link" was not
        links.use(links.make(run, "link"))
    links.use(links.make(run, "ann"))
    with pytest.raises(TransitionRefused, match="ann has approved"):
        links.use(links.make(run, "ann"))
    links.use(links.make(run, "role:admin"))
    links.use(links.make(run, "carl"))
    decisions = links.latest(run).decisions
    assert [each.name for each in decisions] == ["ann", "whoever had a link to role:admin", "carl"]
    assert links.read(run).state.name == "Resuming"


def test_where_whoever_has_a_link_is_asked_nobody_else_decides(links: Links) -> None:
    run = links.run()
    links.pause(run, approval=True, approvers=("link",))
    with pytest.raises(NotAllowed):
        links.resume(run, who="ann")
    links.use(links.make(run, "link"), REJECT, comment="no")
    assert [each.name for each in links.latest(run).decisions] == ["link"]


def test_a_link_of_one_pause_does_not_answer_the_next(links: Links) -> None:
    run = links.run()
    pause = links.pause(run)
    token = links.make(run, pause_id=pause.id)
    links.resume(run)
    links.take(pause)
    links.pause(links.read(run), key="2")
    with pytest.raises(LinkRefused, match="is answered, or its time is over"):
        links.use(token)
    assert links.read(run).state.name == "Paused"
    with pytest.raises(TransitionRefused, match="does not wait for this answer"):
        links.make(run, pause_id=pause.id)
    with pytest.raises(ObjectNotFound):
        links.make(links.run(), pause_id=pause.id)


def test_somebody_who_signed_in_and_is_called_link_is_not_whoever_has_one(links: Links) -> None:
    run = links.run()
    links.pause(run, approval=True, approvers=("role:admin",))
    with pytest.raises(NotAllowed):
        pause_links.pausing.decide(
            links.store, run.id, APPROVE, Person("link", "user link"), now=links.now(), lives=links.lives
        )
