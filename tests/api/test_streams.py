"""Live streams: what happens is told once, in order, without a gap, also to who comes again."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from penstock.domain.runs import Holder
from penstock.domain.stops import Signal
from penstock.store import changes, signals

from .kit import BEGIN, Record, Said, Server

ME = Holder("host", "boot", 1, "1")


@pytest.fixture(autouse=True, params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def either_database(request: pytest.FixtureRequest, penstock_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of these promises is kept on both."""
    if request.param == "postgres":
        monkeypatch.setenv("PENSTOCK_DATABASE_URL", request.getfixturevalue("postgres_url"))


def names(events: list[Said]) -> list[str]:
    return [str(each.data["state_name"]) for each in events]


def test_runs_are_told_of_as_they_change(server: Server, record: Record) -> None:
    record.flow_run()
    with server.stream() as stream:
        assert stream.take(1)[0].event == "begin"
        run = record.flow_run("Running")
        first = stream.take(1)
        record.enter(run, "Completed")
        events = first + stream.take(1)
    assert names(events) == ["Running", "Completed"]
    assert {each.data["id"] for each in events} == {str(run.id)}


def test_only_runs_that_fit_are_told_of(server: Server, record: Record) -> None:
    with server.stream(filter=json.dumps({"flow_names": ["wanted"], "state_types": ["FAILED"]})) as stream:
        stream.take(1)
        record.flow_run("Failed", flow="other")
        record.flow_run("Completed", flow="wanted")
        wanted = record.flow_run("Failed", flow="wanted")
        assert stream.take(1)[0].data["id"] == str(wanted.id)


def test_one_run_is_told_of_with_its_task_runs(server: Server, record: Record) -> None:
    run, other = record.flow_run(), record.flow_run()
    with server.stream(flow_run=str(run.id)) as stream:
        assert [each.event for each in stream.take(2)] == ["begin", "flow_run"]
        record.task_runs(other, "not-mine")
        record.task_runs(run, "a", "b")
        record.enter(run, "Completed")
        events = stream.take(3)
    assert [each.event for each in events] == ["task_run", "task_run", "flow_run"]
    assert [each.data["name"] for each in events] == ["a", "b", run.name]


def test_a_log_is_told_from_its_beginning_and_followed(server: Server, record: Record) -> None:
    run = record.flow_run()
    record.lines(run.id, *range(2500))
    with server.stream(flow_run=str(run.id), logs="true") as stream:
        stream.take(2)
        events = stream.take(2500)
        record.lines(run.id, 2500, 2501)
        events += stream.take(2)
    assert [each.data["seq"] for each in events] == list(range(2502))


def test_a_deleted_run_is_told_of(server: Server, record: Record) -> None:
    run = record.flow_run("Completed")
    with server.stream() as stream:
        stream.take(1)
        assert server.ask("DELETE", f"/flow_runs/{run.id}").status == 200
        (event,) = stream.take(1)
    assert (event.event, event.data) == ("deleted", {"id": str(run.id)})


@pytest.mark.parametrize("taken", range(1, 7))
def test_who_comes_again_misses_nothing_and_hears_nothing_twice(server: Server, record: Record, taken: int) -> None:
    """Wherever the stream was cut, also in the middle of what one transaction changed."""
    run = record.flow_run()
    with server.stream(flow_run=str(run.id)) as stream:
        begin = stream.take(2)[-1].id
        assert begin is not None
    record.task_runs(run, "a", "b", "c")
    record.task_runs(run, "d", "e")
    record.enter(run, "Completed")
    with server.stream(flow_run=str(run.id), cursor=begin) as stream:
        heard = stream.take(1 + taken)
    with server.stream(flow_run=str(run.id), cursor=begin, last=heard[-1].id) as stream:
        record.task_runs(run, "f")
        heard += stream.take(1 + 7 - taken)
    told = [each.data["name"] for each in heard if each.event != "begin"]
    assert told == ["a", "b", "c", "d", "e", run.name, "f"]


def test_a_log_goes_on_where_it_was_cut(server: Server, record: Record) -> None:
    run = record.flow_run()
    record.lines(run.id, *range(10))
    heard: list[int] = []
    cursor = None
    for piece in (3, 4, 3):
        more = {} if cursor is None else {"cursor": cursor}
        with server.stream(flow_run=str(run.id), logs="true", **more) as stream:
            events = stream.take(piece + (2 if cursor is None else 1))
        cursor = events[-1].id
        heard += [each.data["seq"] for each in events if each.event == "log"]
    assert heard == list(range(10))


def test_a_run_that_changed_several_times_is_told_of_as_it_is(server: Server, record: Record) -> None:
    """Its former states are in it; what came of it before says nothing new."""
    with server.stream() as stream:
        cursor = stream.take(1)[0].id
        assert cursor is not None
    run = record.flow_run("Pending")
    for name in ("Running", "Completed"):
        record.enter(run, name)
    other = record.flow_run()
    with server.stream(cursor=cursor) as stream:
        events = stream.take(3)[1:]
    assert [each.data["id"] for each in events] == [str(run.id), str(other.id)]
    assert names(events) == ["Completed", "Running"]


def test_who_was_away_too_long_is_told_to_read_anew(server: Server, record: Record) -> None:
    run = record.flow_run()
    for _ in range(10):
        record.put(run)
    with record.store.write() as tx:
        last = changes.last(tx)
        changes.prune(tx, 1 << 60, 2, 1000)
    with server.stream(cursor="1") as stream:
        assert [each.event for each in stream.take(1)] == ["reset"]
        record.enter(run, "Completed")
        assert names(stream.take(1)) == ["Completed"]
    with server.stream(cursor=str(last - 2)) as stream:
        assert [each.event for each in stream.take(1)] == ["begin"]
    with server.stream(cursor="999999") as stream:  # of a record that was here before
        assert [each.event for each in stream.take(1)] == ["reset"]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"cursor": "x"}, 400),
        ({"cursor": "1~AAAA"}, 422),
        ({"cursor": "9" * 400}, 400),
        ({"flow_run": "x"}, 422),
        ({"flow_run": str(uuid4())}, 404),
        ({"logs": "true"}, 422),
        ({"filter": "{"}, 422),
        ({"filter": '{"unknown": 1}'}, 422),
        ({"filter": "[" * 100}, 400),
        ({"unknown": "1"}, 422),
    ],
)
def test_what_is_no_stream_is_refused(server: Server, query: dict[str, str], status: int) -> None:
    from urllib.parse import urlencode

    assert server.ask("GET", f"/stream?{urlencode(query)}").status == status


def test_who_reads_slowly_costs_no_memory_and_misses_nothing(server: Server, record: Record) -> None:
    """More changes than wait for one stream, while its client reads nothing."""
    run = record.flow_run()
    with server.stream(flow_run=str(run.id)) as stream:
        stream.take(2)
        for start in range(0, 6000, 500):
            record.task_runs(run, *map(str, range(start, start + 500)))
        told = [each.data["name"] for each in stream.take(6000)]
    assert told == list(map(str, range(6000)))


def test_a_websocket_tells_the_same(server: Server, record: Record) -> None:
    run = record.flow_run()
    url = f"{server.url.replace('http', 'ws')}/stream?flow_run={run.id}"
    with connect(url) as socket:
        begun = [json.loads(socket.recv(10)) for _ in range(2)]
        record.enter(run, "Completed")
        told = json.loads(socket.recv(10))
    assert [each["event"] for each in begun] == ["begin", "flow_run"]
    assert (told["event"], told["data"]["state_name"]) == ("flow_run", "Completed")
    with server.stream(cursor=begun[-1]["cursor"]) as stream:
        assert stream.take(2)[-1].id == told["cursor"]


def test_a_websocket_is_refused_as_any_request_is(server: Server) -> None:
    url = f"{server.url.replace('http', 'ws')}/stream"
    with pytest.raises(InvalidStatus) as refused, connect(f"{url}?flow_run={uuid4()}"):
        pass
    assert refused.value.response.status_code == 404
    with pytest.raises(InvalidStatus) as foreign, connect(url, origin="http://evil.example"):
        pass
    assert foreign.value.response.status_code == 403


# --- requests to stop ------------------------------------------------------------------------------------------------


def holder_text(holder: Holder) -> str:
    return msgspec.json.encode(holder).decode()


def ask_to_stop(record: Record, run_id: object) -> Signal:
    signal = Signal(run_id, BEGIN, "ann")  # type: ignore[arg-type]
    with record.store.write() as tx:
        signals.put(tx, signal)
    return signal


def test_a_process_hears_who_wants_its_runs_to_end(server: Server, record: Record) -> None:
    mine, other = record.flow_run(holder=ME), record.flow_run(holder=Holder("host", "boot", 2, "2"))
    before = ask_to_stop(record, mine.id)
    with server.stream("/signals", holder=holder_text(ME)) as stream:
        events = stream.take(1)
        ask_to_stop(record, other.id)
        (task,) = record.task_runs(mine, "t")
        signal = Signal(task.id, BEGIN, "bob", 5.0, mine.id)
        with record.store.write() as tx:
            signals.put(tx, signal)
        events += stream.take(1)
    assert [each.event for each in events] == ["signal", "signal"]
    assert [msgspec.convert(each.data, Signal) for each in events] == [before, signal]


def test_a_run_that_is_taken_over_brings_its_request_along(server: Server, record: Record) -> None:
    run = record.flow_run(holder=Holder("host", "boot", 2, "2"))
    signal = ask_to_stop(record, run.id)
    with server.stream("/signals", holder=holder_text(ME)) as stream:
        run.holder = ME
        record.put(run)
        assert msgspec.convert(stream.take(1)[0].data, Signal) == signal


# --- the end ---------------------------------------------------------------------------------------------------------


def test_streams_are_told_to_come_again_when_the_server_ends(server: Server, record: Record) -> None:
    with server.stream() as stream, connect(f"{server.url.replace('http', 'ws')}/stream") as socket:
        stream.take(1)
        socket.recv(10)
        rest: list[Said] = []
        reading = threading.Thread(target=lambda: rest.extend(stream.events()))
        reading.start()
        assert server.stop() == 0
        reading.join(10)
        assert not reading.is_alive()
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(10)
    assert (rest, stream.retry) == ([], "1000")
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012  # the service restarts


def test_a_stream_goes_on_at_the_next_server(start_server: Callable[..., Server], record: Record) -> None:
    server = start_server()
    with server.stream() as stream:
        cursor = stream.take(1)[0].id
        assert cursor is not None
        server.stop()
    run = record.flow_run()
    with start_server().stream(cursor=cursor) as stream:
        assert stream.take(2)[1].data["id"] == str(run.id)
