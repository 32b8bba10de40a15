"""What a worker process does: takes calls of tasks from a pipe and makes them, each as a run of its own, until the pipe
is closed. Started by `workers.Worker` as `python -m penstock.flows.runners.worker_process`.

Law: user code runs on the main thread, where a signal reaches it whatever it does. A thread beside it listens: it
tells the run to stop, and ends the process when the one that it works for is gone. Nothing is written to the record
here; it all goes up the pipe (`ledger.piped`).
"""

from __future__ import annotations

import contextlib
import contextvars
import os
import signal
import sys
import threading
import time
from collections.abc import Generator
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from typing import Any

import msgspec

from ... import connect
from ...domain.stops import INTERRUPT, Stop
from ...engine import attempts, blocking, console
from ...engine.context import FlowRunContext, TaskRunContext, current_tags
from ...engine.effects import Call, Effect, Join
from ...engine.masking import MASKER
from ...engine.parameters import bind
from ...engine.printed import finish_text
from ...engine.runtime import Runtime
from ...engine.scopes import GENTLE_SECONDS, Scope, Where
from ...engine.secrets import learn
from ...engine.signals import Signals
from ...engine.stopping import StopDelivered, unbroken
from ...engine.timers import TIMERS
from ...ledger.piped import CountRun, PipedLedger
from ...settings import current, temporary_settings
from .. import capture, descriptors, loggers
from ..flow import Flow
from ..task import Task
from . import parcels
from .channel import Channel
from .cluster import inside
from .lifeline import Lifeline
from .parcels import Answer, FlowFacts, Job, Recall, StopOrder, Surroundings, TaskFacts, Welcome

# How long a worker that has nothing to do may take to end when the process it worked for is gone.
PATIENCE = 1.0


class FlowAbove(FlowRunContext):
    """The flow run of the task, which runs in another process and numbers the runs of its tasks there."""

    __slots__ = ()

    def number(self, name: str) -> int:
        ledger: Any = self.runtime.ledger
        if ledger.instead is not None:
            return super().number(name)
        return ledger.ask(CountRun(name))  # type: ignore[no-any-return]


class Strangers:
    """Finds modules that the flow's process has loaded from outside the path, by the files it named."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {}

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name in self.files:
            return spec_from_file_location(name, self.files[name])
        for other, file in self.files.items():
            if other.startswith(f"{name}."):
                levels = other.count(".") - name.count(".") - (not file.endswith("__init__.py"))
                return _package(name, Path(file).parents[levels])
        return None


def _package(name: str, folder: Path) -> ModuleSpec | None:
    """A package that such a module is in."""
    file = folder / "__init__.py"
    if file.exists():
        return spec_from_file_location(name, file, submodule_search_locations=[str(folder)])
    spec = ModuleSpec(name, None, is_package=True)
    spec.submodule_search_locations = [str(folder)]
    return spec


class Process:
    """This process: its pipes, what it was told, and the job it is at."""

    def __init__(self, line: Channel, jobs: Channel, lifeline: Lifeline) -> None:
        self._line = line
        self._lifeline = lifeline
        self._jobs = jobs
        self._lock = threading.Lock()
        self._ledger = PipedLedger(lambda data: self._send(parcels.LEDGER, data), unbroken, MASKER)
        self._strangers = Strangers()
        self._tasks: dict[int, Task[Any, Any]] = {}
        self._flow: FlowFacts | None = None
        self._definition = Flow(_elsewhere)
        self._settings = contextlib.ExitStack()
        self._number = 0
        self._recalled = 0  # jobs up to this number that have not begun do not begin
        self._secrets_said = 0
        self._scope: Scope | None = None

    def serve(self) -> None:
        """Does jobs until there are no more."""
        self._become(msgspec.msgpack.decode(self._jobs.receive()[1], type=Welcome))
        connect.give(self._ledger)
        console.NUMBERED = False
        console.MOST_HELD = 1  # a line is shown at once: this process may be killed any moment
        threading.Thread(target=self._listen, name="penstock-worker-listener", daemon=True).start()
        with capture.following(), Signals(self._interrupted):
            self._send(parcels.READY, b"")
            while True:
                try:
                    job = parcels.receive_job(self._jobs)
                except (EOFError, OSError):
                    return
                if not self._lifeline.arm():
                    _end_all()
                answer = self._do(job) if self._begin(job) else Answer(job.number, "recalled")
                answer.secrets, self._secrets_said = parcels.secrets_after(self._secrets_said)
                self._lifeline.disarm()
                with self._lock:
                    parcels.send_answer(self._line, answer)

    def forsake(self) -> None:
        """In a forked child: what it says would mix with what the worker says, so it goes to the record itself."""
        self._ledger.instead = lambda: connect.own_ledger(current())
        self._lock = threading.Lock()
        for channel in (self._line, self._jobs):
            with contextlib.suppress(OSError):
                channel.close()

    def _become(self, welcome: Welcome) -> None:
        sys.path[:] = welcome.path
        sys.argv[:] = welcome.argv
        sys.meta_path.append(self._strangers)
        if welcome.python_path is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = welcome.python_path

    def _send(self, kind: bytes, data: bytes) -> None:
        with self._lock:
            self._line.send(kind, data)

    def _listen(self) -> None:
        try:
            while True:
                kind, data = self._line.receive()
                if kind == parcels.STOP:
                    self._stop(msgspec.msgpack.decode(data, type=StopOrder))
                elif kind == parcels.RECALL:
                    self._recalled = msgspec.msgpack.decode(data, type=Recall).upto
                else:
                    self._ledger.answered(data)
        except (EOFError, OSError):
            if self._scope is None:
                time.sleep(PATIENCE)
            _end_all()

    def _stop(self, order: StopOrder) -> None:
        scope = self._scope
        if scope is not None and self._number == order.number:
            scope.request(Stop(order.reason, order.message))
            if scope.where:
                self._send(parcels.WHERE, parcels.encode(Where(scope.where, scope.stack)))
            TIMERS.after(GENTLE_SECONDS / 2, scope.remind)
            TIMERS.after(GENTLE_SECONDS, lambda: _leave_stuck(scope))

    def _interrupted(self, again: bool) -> None:
        """Somebody sent SIGINT to this very process."""
        if self._scope is not None:
            self._scope.request(Stop(INTERRUPT, "Interrupted by SIGINT."))

    def _begin(self, job: Job) -> bool:
        """Whether the job is still wanted. (What it says of this process holds for later ones all the same.)"""
        self._scope, self._number = Scope(), job.number
        if job.number > self._recalled:
            return True
        self._scope = None
        with contextlib.suppress(Exception):
            self._learn(job)
        return False

    def _do(self, job: Job) -> Answer:
        assert self._scope is not None
        before = set(threading.enumerate())
        try:
            try:
                self._learn(job)
            except Exception as error:
                return Answer(job.number, "unreadable", parcels.words(error))
            with loggers.following(current()):
                answer = contextvars.copy_context().run(self._perform, job)
            if self._scope.stop is not None:
                answer.spent = any(_still_runs(thread) for thread in threading.enumerate() if thread not in before)
            return answer
        finally:
            self._scope = None
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(Exception):
                    stream.flush()

    def _perform(self, job: Job) -> Answer:
        try:
            task = self._tasks[job.task_number]
            args, kwargs = parcels.loads(job.arguments or b"")
            context = self._context(job, task)
            context.parameters = bind(task, args, kwargs)
            learn(context.parameters.values())
        except Exception as error:
            return Answer(job.number, "unreadable", parcels.words(error))
        if job.task is not None:
            self._send(parcels.LOADED, b"")
        with descriptors.capturing(context) if job.log_prints and job.captures_all else contextlib.nullcontext():
            answer = self._call(job, task, args, kwargs, context)
        flow = context.flow_context
        if flow is not None:
            if flow.task_runner is not None:
                flow.task_runner.close()
            answer.tally = dict(flow.tally)
        return answer

    def _call(
        self, job: Job, task: Task[Any, Any], args: Any, kwargs: dict[str, Any], context: TaskRunContext
    ) -> Answer:
        try:
            value = blocking.run(_run(task, args, kwargs, context))
        except BaseException as raised:
            meant = _meant(raised, context)
            answer = Answer(
                job.number,
                "error",
                attempts.user_traceback(meant),
                attempts.describe(meant),
                parcels.pack_error(meant),
            )
        else:
            answer = _packed(job.number, value)
        finish_text(context)
        return answer

    def _learn(self, job: Job) -> None:
        parcels.take_secrets(job.secrets)
        self._strangers.files.update(job.modules)
        if job.surroundings is not None:
            _surround(job.surroundings)
        if job.settings is not None:
            self._settings.close()
            self._settings.enter_context(temporary_settings(job.settings))
        if job.flow is not None:
            self._flow = job.flow
            run = job.flow.run
            self._definition = Flow(_elsewhere, name=run.flow_name, version=run.flow_version)
        if job.forget:
            self._tasks.clear()
            self._secrets_said = 0
        if job.task is not None:
            self._tasks[job.task_number] = _task_of(job.task)

    def _context(self, job: Job, task: Task[Any, Any]) -> TaskRunContext:
        runtime = connect.runtime()
        above = _flow_above(self._flow, self._definition, runtime) if job.in_flow and self._flow is not None else None
        context = TaskRunContext(job.run, runtime, above, job.log_prints, task)
        context.scope = self._scope
        context.captures_all = job.captures_all
        if job.trace is not None and runtime.tracer is not None:
            context.trace = runtime.tracer.elsewhere(job.trace)
        current_tags.set(job.tags)
        if job.log_prints:
            capture.streams()
        inside.here = None if job.cluster is None else (job.cluster, self._secede)
        return context

    def _secede(self) -> None:
        """The task waits for other work of the cluster."""
        self._send(parcels.SECEDE, b"")


def _leave_stuck(scope: Scope) -> None:
    """Runs that the code has begun in threads of this process need not wait for what a stop cannot reach there."""
    for child in list(scope.children):
        child.abandon(only_stuck=True)


def _surround(now: Surroundings) -> None:
    sys.path[:] = now.path
    if now.folder is not None:
        with contextlib.suppress(OSError):
            os.chdir(now.folder)
    for name in os.environb.keys() - now.environ.keys():
        del os.environb[name]
    os.environb.update(now.environ)


def _task_of(facts: TaskFacts) -> Task[Any, Any]:
    task = Task(
        parcels.loads(facts.fn),
        name=facts.name,
        version=facts.version,
        tags=facts.tags,
        retries=facts.retries,
        timeout_seconds=facts.timeout_seconds,
    )
    task.task_key = facts.task_key
    return task


def _flow_above(facts: FlowFacts, definition: Flow[Any, Any], runtime: Runtime) -> FlowAbove:
    """Made for each job, so that nothing of one is left for the next. Tasks that the task submits run in threads."""
    context = FlowAbove(facts.run, runtime, None, facts.log_prints, definition, None)
    context.parameters = dict(facts.run.parameters)
    if facts.parameters is not None:
        with contextlib.suppress(Exception):  # values that only the flow's process can read
            context.parameters = parcels.loads(facts.parameters)
    return context


def _elsewhere() -> None:
    raise RuntimeError("This stands for the flow that the task belongs to; it runs in another process.")


def _run(
    task: Task[Any, Any], args: Any, kwargs: dict[str, Any], context: TaskRunContext
) -> Generator[Effect[Any], Any, Any]:
    """The script of the call: the function, then the tasks it submitted and did not wait for."""
    fn, awaits = task.fn, task.isasync
    if task.isgenerator:
        fn = _collect_async if task.isasync else _collect
        args = (task.fn, *args)
    flow = context.flow_context
    waiting: Any = () if flow is None else flow.outstanding
    try:
        value = yield from Call(fn, args, kwargs, context, context.scope, awaits)
        while waiting:
            yield from Join(list(waiting), context.scope)
        return value
    except BaseException:
        if flow is not None:
            flow.dropping = True
        while waiting:
            yield from Join(list(waiting), None)
        raise


def _collect(fn: Any, /, *args: Any, **kwargs: Any) -> list[Any]:
    return list(fn(*args, **kwargs))


async def _collect_async(fn: Any, /, *args: Any, **kwargs: Any) -> list[Any]:
    return [item async for item in fn(*args, **kwargs)]


def _meant(error: BaseException, context: TaskRunContext) -> BaseException:
    """A stop that came from outside, by a signal to this very process, is what that signal means in Python."""
    scope = context.scope
    if isinstance(error, StopDelivered) and scope is not None:
        return attempts.stopped_error(scope, context.kind) or error
    return error


def _packed(number: int, value: Any) -> Answer:
    try:
        return Answer(number, "value", payload=parcels.dumps(value)[0])
    except Exception as error:
        return Answer(number, "unsendable", parcels.words(error), parcels.type_name(value))


def _still_runs(thread: threading.Thread) -> bool:
    """Whether a thread may be code that did not stop; the engine's own idle ones are not."""
    return thread.is_alive() and thread.name != "penstock-timers"


def _end_all() -> None:
    """Ends this process at once, and all that the task at hand has started."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def main() -> None:
    fds = [int(text) for text in sys.argv[1:4]]
    for fd in fds:
        os.set_inheritable(fd, False)
    process = Process(Channel(fds[0]), Channel(fds[1]), Lifeline(fds[2]))
    os.register_at_fork(after_in_child=process.forsake)
    process.serve()
    threading.Thread(target=_end_late, name="penstock-worker-end", daemon=True).start()


def _end_late() -> None:
    """Threads of the user's that will not end do not keep the process."""
    time.sleep(PATIENCE)
    os._exit(0)


if __name__ == "__main__":
    main()
