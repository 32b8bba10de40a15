"""A fleet as a discrete-event model: what happens when, in servers that were not there.

In it: runs that begin, report, keep their leases and end at their times; servers that are one processor each (an
interpreter does one thing at a time); one transaction of all batches that wait in a server; writers of all servers that
take turns, in the order of their asking; statements that go to the database and back one after the other; what each
server looks at because anybody wrote; the loop that looks for lost processes.

Not in it: autovacuum and checkpoints beyond what single transactions paid for, memory, people who look at pages, a
network that loses something.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

RENEW_SECONDS = 20.0
RESCUE_EVERY = 2.0
LOOK_PAUSE = 0.01
# A thread that goes on computing lets others in after so long.
SWITCH = 0.005
# A transaction is simulated in so many steps at most, each of which goes to the database and back.
MOST_STEPS = 24
WARM_UP, SHORTEST_WINDOW, LONGEST_WINDOW = 3.0, 4.0, 60.0
# A window has so many runs that begin, where it may be so long.
RUNS_IN_A_WINDOW = 750

Resume = Callable[[], None]
Wait = Callable[[Resume], None]
Steps = Generator[Wait, None, None]


@dataclass(frozen=True)
class Profile:
    """What a run does, as in `fleet_runs.Profile`; `launched` is the share of runs that workers launch."""

    length: float = 300.0
    tasks: int = 10
    lines: int = 100
    launched: float = 0.1

    @property
    def requests(self) -> float:
        """Of a run, about."""
        renewals = max(0, math.ceil(self.length / self.tasks / RENEW_SECONDS) - 1) * self.tasks
        return 2 + self.tasks + renewals + 4 * self.launched

    def __str__(self) -> str:
        return f"{self.length:g} s, {self.tasks:,} tasks, {self.lines:,} lines"


@dataclass(frozen=True)
class Machines:
    """`shared` processors that all have together, or (None) each server a machine of its own and the database one with
    `database` processors, `round_trip` seconds away. `client` seconds of a shared processor go to each request's
    sender."""

    servers: int
    database: int = 0
    shared: int | None = None
    round_trip: float = 0.0
    client: float = 0.0


@dataclass
class Found:
    """What a simulation found: seconds, and shares of one processor, or of the time (`turn`: somebody writes)."""

    changes: list[float] = field(default_factory=list)
    reports: list[float] = field(default_factory=list)
    requests: float = 0.0
    servers: float = 0.0
    database: float = 0.0
    turn: float = 0.0

    def of_changes(self, percent: float) -> float:
        return percentile(self.changes, percent)


def percentile(values: Sequence[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else 0.0


# --- time, and what is waited for ------------------------------------------------------------------------------------


class Clock:
    """What happens when. A process is a generator of what it waits for."""

    def __init__(self) -> None:
        self.now = 0.0
        self._events: list[tuple[float, int, Resume]] = []
        self._number = count()

    def at(self, when: float, then: Resume) -> None:
        heapq.heappush(self._events, (when, next(self._number), then))

    def start(self, steps: Steps) -> None:
        def go_on() -> None:
            wait = next(steps, None)
            if wait is not None:
                wait(go_on)

        go_on()

    def sleep(self, seconds: float) -> Wait:
        return lambda resume: self.at(self.now + seconds, resume)

    def run(self, until: float) -> None:
        while self._events and self._events[0][0] <= until:
            self.now, _, then = heapq.heappop(self._events)
            then()
        self.now = until


class Places:
    """So many at a time; the others wait in the order of their asking."""

    def __init__(self, clock: Clock, number: int) -> None:
        self._clock = clock
        self._free = number
        self._waiting: deque[Resume] = deque()
        self._taken = number
        self._since = 0.0
        self._number = number
        self.used = 0.0

    def take(self, resume: Resume) -> None:
        if self._free:
            self._free -= 1
            resume()
        else:
            self._waiting.append(resume)

    def give_back(self, seconds: float) -> None:
        self.used += seconds
        if self._waiting:
            self._clock.at(self._clock.now, self._waiting.popleft())
        else:
            self._free += 1


def work(clock: Clock, places: Sequence[Places], seconds: float) -> Wait:
    """`seconds` of work that needs a place of each, taken in their order."""

    def wait(resume: Resume) -> None:
        def taken(number: int) -> None:
            if number < len(places):
                places[number].take(lambda: taken(number + 1))
            else:
                clock.at(clock.now + seconds, done)

        def done() -> None:
            for each in places:
                each.give_back(seconds)
            resume()

        taken(0)

    return wait


def nothing() -> None:
    """Nobody waits for it."""


# --- a fleet ---------------------------------------------------------------------------------------------------------


@dataclass
class Batch:
    """What a request brings into a transaction: seconds, statements; and what is done when it is answered."""

    hold: float
    statements: float
    answered: Resume


class Server:
    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self.interpreter = Places(fleet.clock, 1)
        self.places = (self.interpreter, *fleet.shared)
        self._queue: list[Batch] = []
        self._recording = False
        self._looking = self._news = False

    def take(self, batch: Batch) -> None:
        """A batch of the journal: recorded with all others that wait."""
        self._queue.append(batch)
        if not self._recording:
            self._recording = True
            self._fleet.clock.start(self._record())

    def _record(self) -> Steps:
        while self._queue:
            some, self._queue = self._queue, []
            yield from self.transaction(sum(each.hold for each in some), sum(each.statements for each in some))
            for each in some:
                self._fleet.clock.start(self._answer(each))
        self._recording = False

    def transaction(self, hold: float, statements: float) -> Steps:
        """In the writers' turn: to the database and back, again and again."""
        fleet, costs = self._fleet, self._fleet.costs
        hold, statements = hold + costs["transaction"], statements + costs["statements"]["transaction"]
        steps = max(1, min(round(statements), MOST_STEPS))
        ours, theirs = fleet.split(hold)
        rest = hold - ours - theirs + statements * fleet.machines.round_trip
        yield fleet.turn.take
        began = fleet.clock.now
        for _ in range(steps):
            yield work(fleet.clock, self.places, ours / steps)
            yield work(fleet.clock, fleet.database, theirs / steps)
            yield fleet.clock.sleep(rest / steps)
        fleet.turn.give_back(fleet.clock.now - began)
        for server in fleet.servers:
            server.look()

    def _answer(self, batch: Batch) -> Steps:
        yield work(self._fleet.clock, self.places, self._fleet.costs["request"] / 2)
        batch.answered()

    def look(self) -> None:
        """Somebody wrote: what has changed is read, for those who listen here."""
        self._news = True
        if not self._looking:
            self._looking = True
            self._fleet.clock.start(self._look())

    def _look(self) -> Steps:
        fleet = self._fleet
        while self._news:
            self._news = False
            yield work(fleet.clock, self.places, fleet.costs["look"])
            yield work(fleet.clock, fleet.database, fleet.costs["look_database"])
            yield fleet.clock.sleep(LOOK_PAUSE)
        self._looking = False

    def rescue(self, runs: int) -> Steps:
        while True:
            left = runs * self._fleet.costs["rescue"]
            while left > 0:
                yield work(self._fleet.clock, self.places, min(left, SWITCH))
                left -= SWITCH
            yield self._fleet.clock.sleep(RESCUE_EVERY)


class Fleet:
    """`runs` at once, as if there had been as many for long."""

    def __init__(self, costs: dict[str, Any], profile: Profile, machines: Machines, runs: int, seed: int = 1) -> None:
        self.clock = Clock()
        self.costs, self.profile, self.machines, self.runs = costs, profile, machines, runs
        own = machines.shared is None
        self.shared = () if own else (Places(self.clock, machines.shared or 1),)
        self.database = (Places(self.clock, machines.database),) if own else self.shared
        self.turn = Places(self.clock, 1)
        self.servers = [Server(self) for _ in range(machines.servers)]
        self.database_seconds = 0.0
        self.found = Found()
        self._requests = 0
        self._numbers = count()
        self._open: dict[int, tuple[list[float], float]] = {}
        self._random = random.Random(seed)

    def split(self, hold: float) -> tuple[float, float]:
        """How much of a hold is the server's processor, and how much the database's."""
        ours, theirs = self.costs["server"], self.costs["database"]
        scale = max(1.0, ours + theirs)
        self.database_seconds += hold * theirs / scale
        return hold * ours / scale, hold * theirs / scale

    def simulate(self) -> Found:
        """Asks for one window, after a while."""
        window = min(max(SHORTEST_WINDOW, RUNS_IN_A_WINDOW * self.profile.length / self.runs), LONGEST_WINDOW)
        self.clock.start(self.servers[0].rescue(self.runs))
        for slot in range(self.runs):
            self.clock.start(self._slot(self.servers[slot % len(self.servers)], slot / self.runs))
        self.clock.run(WARM_UP)
        self.found = Found()
        before = self._used()
        self.clock.run(WARM_UP + window)
        used = [(b - a) / window for a, b in zip(before, self._used(), strict=True)]
        self.found.requests, self.found.servers, self.found.database, self.found.turn = used
        self.found.servers /= len(self.servers)
        for times, began in self._open.values():
            times.append(self.clock.now - began)
        return self.found

    def _used(self) -> tuple[float, ...]:
        return self._requests, sum(s.interpreter.used for s in self.servers), self.database_seconds, self.turn.used

    # --- what runs send ------------------------------------------------------------------------------------------

    def _slot(self, server: Server, share: float) -> Steps:
        """One place in the fleet: the end of a run, which any moment of its length may be, then whole runs."""
        profile = self.profile
        age = profile.length * self._random.random()
        while True:
            launched = self._random.random() < profile.launched
            begun = self.clock.now - age
            if not age:
                self.clock.start(self._begin(server, launched))
            interval = profile.length / profile.tasks
            task = int(age // interval) + (1 if age else 0)
            heard = self.clock.now - RENEW_SECONDS * self._random.random() if age else begun
            end = begun + profile.length
            while True:
                report_at = begun + task * interval
                at = min(report_at, heard + RENEW_SECONDS, end)
                yield self.clock.sleep(max(0.0, at - self.clock.now))
                if at >= end - 1e-6:
                    break
                heard = at
                if at == report_at:
                    task += 1
                    report = self._journal(server, (self._rows(1, 1), 0.0))
                    self._timed(self.found.reports, report, self.clock.now)(nothing)
                else:
                    self._journal(server, (0.0, 0.0))(nothing)
            self.clock.start(self._end(server, launched))
            age = 0.0

    def _begin(self, server: Server, launched: bool) -> Steps:
        """A script's run, or one that is created, claimed, said to be launched, taken, entered."""
        if not launched:
            yield self._changes(self._journal(server, self._cost("begin")))
            return
        yield self._changes(self._call(server, self._cost("begin")))
        yield self._call(server, self._cost("end"))
        yield self._call(server, self._cost("end"))
        began = self.clock.now
        yield self._journal(server, self._cost("end"))
        yield self._changes(self._journal(server, self._cost("end")), began)

    def _end(self, server: Server, launched: bool) -> Steps:
        hold, said = self._cost("end")
        yield self._changes(self._journal(server, (hold + self._rows(1, 0), said)))
        if launched:
            yield self._call(server, self._cost("end"))

    def _cost(self, kind: str) -> tuple[float, float]:
        return self.costs[kind], self.costs["statements"][kind]

    def _rows(self, ended: int, begun: int) -> float:
        lines = ended * self.profile.lines / self.profile.tasks
        seconds: float = (ended + begun) * self.costs["task_run"] + lines * self.costs["line"]
        return seconds

    def _changes(self, wait: Wait, began: float | None = None) -> Wait:
        return self._timed(self.found.changes, wait, self.clock.now if began is None else began)

    def _timed(self, times: list[float], wait: Wait, began: float) -> Wait:
        """Notes how long it takes from `began`; of what is not answered in the end, how long it has waited then."""
        number = next(self._numbers)
        self._open[number] = (times, began)

        def timed(resume: Resume) -> None:
            def answered() -> None:
                del self._open[number]
                times.append(self.clock.now - began)
                resume()

            wait(answered)

        return timed

    def _journal(self, server: Server, cost: tuple[float, float]) -> Wait:
        """A batch of the journal, answered."""
        hold, said = cost[0] + self.costs["renew"], cost[1] + self.costs["statements"]["renew"]

        def wait(resume: Resume) -> None:
            self.clock.start(self._sent(server, lambda: server.take(Batch(hold, said, resume))))

        return wait

    def _call(self, server: Server, cost: tuple[float, float]) -> Wait:
        """A request with a transaction of its own, answered."""

        def steps(resume: Resume) -> Steps:
            yield from server.transaction(*cost)
            yield work(self.clock, server.places, self.costs["request"] / 2)
            resume()

        def wait(resume: Resume) -> None:
            self.clock.start(self._sent(server, lambda: self.clock.start(steps(resume))))

        return wait

    def _sent(self, server: Server, then: Resume) -> Steps:
        self._requests += 1
        if self.machines.client and self.shared:
            yield work(self.clock, self.shared, self.machines.client)
        yield work(self.clock, server.places, self.costs["request"] / 2)
        then()
