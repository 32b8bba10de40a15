"""One launched run, from its claim to its end: launched, watched, ended when that is asked for."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import Any

from ..domain.errors import InfrastructureError, InfrastructureNotAvailable, PenstockError, WorkPoolError
from ..domain.launches import Launch, Place
from ..domain.runs import FlowRun
from ..domain.states import FINAL
from ..infrastructure.contract import Driver, Ended, Job
from ..protocol.launches import Event, StopRequest, Work
from .reporting import GivenUp, Reporter

# How long one look at infrastructure waits, how often one that has not begun is asked why, and how long the next
# attempt to end one waits, at first and at most.
WAIT_SECONDS = 3600.0
STARTING_SECONDS = 1.0
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
DEFAULT_GRACE = 30.0

MakeJob = Callable[[Launch, FlowRun], Job]


class Watched:
    """A run that the worker has. `line(text)` is given what it writes."""

    def __init__(
        self,
        work: Work,
        driver: Driver,
        reporter: Reporter,
        make_job: MakeJob,
        *,
        grace: float | None,
        closed: threading.Event,
        line: Callable[[str], None] | None,
        say: Callable[[str], None],
    ) -> None:
        self.run = work.run
        self._launch = work.launch
        self._adopted = work.adopt
        self._driver = driver
        self._reporter = reporter
        self._make_job = make_job
        self._grace = grace
        self._closed = closed
        self._line = line
        self._heed(work.launch.configuration or {})  # as it was launched before
        self._say = say
        self._lock = threading.Lock()
        self._request: StopRequest | None = None
        self._stopping = threading.Event()
        self._over = threading.Event()
        self._place: Place | None = work.launch.place if work.adopt else None

    def look_after(self) -> None:
        """To its end; in a thread of its own."""
        try:
            if self._adopted or self._launched():
                self._watch()
        except GivenUp:
            pass
        finally:
            self._over.set()

    def stop(self, request: StopRequest) -> bool:
        """Has it ended; whether that is new."""
        with self._lock:
            new, self._request = self._request is None, request
        self._stopping.set()
        return new

    def let_go(self) -> None:
        """Another worker has it now."""
        self._over.set()
        self._stopping.set()

    def _heed(self, configuration: dict[str, Any]) -> None:
        if configuration.get("stream_output") is False:
            self._line = None

    # --- launching ---------------------------------------------------------------------------------------------------

    def _launched(self) -> bool:
        tell, id = self._reporter.tell, self.run.id
        if self._stopping.is_set():
            tell(id, Event.RELEASED)
            return False
        try:
            job = self._make_job(self._launch, self.run)
            self._heed(job.configuration)
            place = self._driver.launch(job)
        except InfrastructureNotAvailable as error:
            self._say(f"Flow run {self.run.name!r} could not be launched: {error}")
            tell(id, Event.NOT_LAUNCHED, message=str(error))
            return False
        except (InfrastructureError, WorkPoolError) as error:
            self._say(f"Flow run {self.run.name!r} cannot be launched: {error}")
            tell(id, Event.REFUSED, message=str(error))
            return False
        except Exception as error:
            self._say(f"Flow run {self.run.name!r} cannot be launched: {type(error).__name__}: {error}")
            tell(id, Event.REFUSED, message=f"{type(error).__name__}: {error}")
            return False
        self._place = place
        self._say(f"Launched flow run {self.run.name!r} as {place.type} {place.id}.")
        reported = tell(id, Event.LAUNCHED, place=place, configuration=_storable(job.configuration))
        if reported is None or not reported.kept:
            # The run was deleted, or given to another worker which finds this launch by its key.
            if reported is None:
                self._end(StopRequest(flow_run_id=id, at=self.run.created, over=True))
            return False
        if reported.run.state.type in FINAL:
            self.stop(StopRequest(flow_run_id=id, at=self.run.created, grace=self._launch.grace, over=True))
        return True

    # --- watching ----------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        context = contextvars.copy_context()
        ender = threading.Thread(target=context.run, args=(self._end_when_asked,), name="penstock-stop", daemon=True)
        ender.start()
        ended = self._wait()
        if ended is None:
            return
        if self._stopping.is_set():
            ender.join()  # it sees the end as well, and tells how it came about
            return
        self._over.set()
        self._stopping.set()
        lines = tuple(ended.lines) if ended.code != 0 else ()
        told = self._reporter.tell(self.run.id, Event.ENDED, message=ended.why, exit_code=ended.code, lines=lines)
        how = "" if ended.code is None else f" with exit code {ended.code}"
        state = "" if told is None else f"; the run is {told.run.state_name}"
        self._say(f"Flow run {self.run.name!r} ended{how}{state}.")
        self._forget()

    def _wait(self) -> Ended | None:
        """How it ended; None when that is not this worker's business any more."""
        assert self._place is not None
        began, problem = False, None
        while not (self._over.is_set() or self._closed.is_set()):
            try:
                began = began or self._driver.started(self._place) is not None
                ended = self._driver.wait(self._place, WAIT_SECONDS if began else STARTING_SECONDS, self._line)
                if ended is not None:
                    return ended
                new = None if began else self._driver.problem(self._place)
            except PenstockError as error:
                self._say(f"Flow run {self.run.name!r} cannot be watched: {error}")
                self._closed.wait(FIRST_PAUSE)
                continue
            if new != problem:
                problem = new
                self._reporter.tell(self.run.id, Event.WAITING, message=problem)
        return None

    def _forget(self) -> None:
        if self._place is not None:
            try:
                self._driver.forget(self._place)
            except PenstockError as error:
                self._say(f"What is left of flow run {self.run.name!r} could not be cleaned up: {error}")

    # --- ending ------------------------------------------------------------------------------------------------------

    def _end_when_asked(self) -> None:
        while not self._stopping.wait(1.0):
            if self._over.is_set() or self._closed.is_set():
                return
        if self._over.is_set() or self._request is None:
            return
        try:
            self._end(self._request)
        except GivenUp:
            pass

    def _end(self, request: StopRequest) -> None:
        """Ends it, however often that has to be tried."""
        assert self._place is not None
        pause = FIRST_PAUSE
        why = "its run is over" if request.over else f"asked by {request.who or 'somebody'}"
        self._say(f"Ending flow run {self.run.name!r}: {why}.")
        while not self._over.is_set():
            grace = self._grace_of(self._request or request)
            try:
                stopped = self._driver.stop(self._place, grace)
            except PenstockError as error:
                self._say(f"Flow run {self.run.name!r} could not be ended: {error}")
                self._reporter.tell(self.run.id, Event.NOT_STOPPED, message=str(error))
                if self._closed.wait(pause):
                    return
                pause = min(2 * pause, LONGEST_PAUSE)
                continue
            self._say(f"Flow run {self.run.name!r} was ended ({stopped.how}, {stopped.seconds:.1f} s).")
            self._reporter.tell(
                self.run.id, Event.STOPPED, how=stopped.how, seconds=stopped.seconds, exit_code=stopped.ended.code
            )
            self._forget()
            self._over.set()
            return

    def _grace_of(self, request: StopRequest) -> float:
        wanted = (request.grace, self._launch.grace, self._grace, DEFAULT_GRACE)
        return next(each for each in wanted if each is not None)


def _storable(configuration: dict[str, Any]) -> dict[str, Any]:
    """The snapshot of a run's infrastructure, without the environment: that is where secrets are."""
    return {key: each for key, each in configuration.items() if key != "env"}
