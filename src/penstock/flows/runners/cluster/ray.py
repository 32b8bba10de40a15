"""Tasks on Ray."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any

from ....domain.errors import ConfigurationError, DefinitionError, InfrastructureNotAvailable
from . import pulse
from .host import Node, host
from .leases import Over
from .orders import Trouble
from .pulse import Pulse, knock, split
from .runner import ClusterTaskRunner

CONNECT_SECONDS = 30.0
# After so long a value that is asked for is asked for again, if the cluster is still there.
FETCH_SECONDS = 5.0
# Variables by which Ray says which devices a worker of its has.
DEVICES = (
    "CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "ONEAPI_DEVICE_SELECTOR",
    "NEURON_RT_VISIBLE_CORES", "TPU_VISIBLE_CHIPS", "ASCEND_RT_VISIBLE_DEVICES", "HABANA_VISIBLE_MODULES",
)  # fmt: skip
_options: ContextVar[dict[str, Any] | None] = ContextVar("remote_options", default=None)


@contextlib.contextmanager
def remote_options(**options: Any) -> Iterator[None]:
    """Options of `ray.remote` for the tasks that are submitted in it, on a `RayTaskRunner`: `num_cpus`, `num_gpus`,
    `memory` (bytes), `resources`, `accelerator_type`, `scheduling_strategy`, `runtime_env`, … Within one another, the
    inner one's come first. A task that has such options is given a place on the cluster for itself, which costs some
    milliseconds more.

    Raises `DefinitionError` for `max_retries`, `retry_exceptions` and `num_returns`, which are not the caller's:
    retries are the task's own.

    Example::

        with remote_options(num_cpus=4, num_gpus=1):
            train.submit(data)
    """
    for name in ("max_retries", "retry_exceptions", "num_returns"):
        if name in options:
            raise DefinitionError(f"remote_options does not take {name}: retries and results are the task's own.")
    token = _options.set({**(_options.get() or {}), **options})
    try:
        yield
    finally:
        _options.reset(token)


class RayTaskRunner(ClusterTaskRunner):
    """Runs submitted tasks on a Ray cluster: the one at `address` (`auto`, the head's `host:port`, `ray://host:port`),
    or one that is begun for the flow run by `ray.init(**init_kwargs)`; where the program is connected to one already,
    that one. `remote_options(…)` says what tasks ask of it.

    A head that does not answer for 40 s is given up, and what runs there is Crashed. All else is as for
    `DaskTaskRunner`. Needs `pip install 'penstock[ray]'`.

    Example::

        @flow(task_runner=RayTaskRunner(init_kwargs={"num_cpus": 8}))
        def crunch(files: list[str]) -> list[int]:
            return count_words.map(files).result()
    """

    def __init__(self, address: str | None = None, init_kwargs: dict[str, Any] | None = None) -> None:
        super().__init__()
        self._options: dict[str, Any] = {"address": address, "init_kwargs": init_kwargs}

    def duplicate(self) -> RayTaskRunner:
        return type(self)(**self._options)

    def _connect(self) -> RayCluster:
        return RayCluster(**self._options)

    def __reduce__(self) -> Any:
        return type(self), (self._options["address"], self._options["init_kwargs"])

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other._options == self._options

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self._options.items() if value is not None)
        return f"{type(self).__name__}({given})"


class RayCluster:
    """The program's connection to Ray, and whether it was made here."""

    def __init__(self, address: str | None, init_kwargs: dict[str, Any] | None) -> None:
        try:
            import ray
        except ImportError as error:
            raise ConfigurationError(
                f"RayTaskRunner needs the package ray ({error}): pip install 'penstock[ray]'."
            ) from None
        self._ray: Any = ray
        self._address = address
        self._own = False
        self._gone = False
        self._pulse: Pulse | None = None
        self._ending = threading.Lock()
        if not ray.is_initialized():
            self._begin(address, init_kwargs)
            self._own = True
        self._losses: Any = (
            ray.exceptions.WorkerCrashedError, ray.exceptions.NodeDiedError, ray.exceptions.OutOfMemoryError,
            ray.exceptions.LocalRayletDiedError, ray.exceptions.ObjectLostError, ConnectionError,
        )  # fmt: skip
        # The first of two is there when the call is over; asking for it does not bring the value here.
        remote: Any = ray.remote(num_returns=2, max_retries=0)
        self._host: Any = remote(_host)

    def _begin(self, address: str | None, init_kwargs: dict[str, Any] | None) -> None:
        # One that is begun here needs no dashboard at a port that somebody else may have.
        usual = {} if address or "RAY_ADDRESS" in os.environ else {"include_dashboard": False, "log_to_driver": False}
        where = address or os.environ.get("RAY_ADDRESS") or "begun for the flow run"
        try:
            if (place := split(where)) is not None:  # Ray itself would ask for a minute or more
                knock(place, CONNECT_SECONDS)
            self._ray.init(address=address, **{**usual, "configure_logging": False, **(init_kwargs or {})})
        except Exception as error:
            words = " ".join(str(_cause(error)).split()) or type(error).__name__
            wrong = "has other versions" if "ersion mismatch" in words else "is not there"
            raise InfrastructureNotAvailable(f"The Ray cluster ({where}) {wrong}: {words}") from error

    @property
    def peer(self) -> str:
        nodes = [node for node in self._ray.nodes() if node["Alive"]]
        here = self._ray.util.get_node_ip_address()
        others = [node["NodeManagerAddress"] for node in nodes if node["NodeManagerAddress"] != here]
        return str(others[0]) if others else "127.0.0.1"

    @property
    def inside(self) -> None:
        """(A task connects to Ray as any program on the node does.)"""
        return None

    def watch(self, lost: Callable[[Trouble], None]) -> None:
        """See `leases.Cluster`."""
        address = self._address
        if address is None or not address.startswith("ray://"):
            address = str(self._ray.get_runtime_context().gcs_address)
        place = split(address)
        if place is not None:
            self._pulse = Pulse(place, lambda: self._lose(address, lost))

    def _lose(self, address: str, lost: Callable[[Trouble], None]) -> None:
        self._gone = True
        lost(Trouble(f"Ray's head at {address} has not answered for {pulse.AWAY_SECONDS:.0f} s", is_loss=True))
        self._end()  # or Ray would end this program

    @property
    def lost(self) -> bool:
        return self._gone or not self._ray.is_initialized()

    def wishes(self) -> dict[str, Any]:
        """What `remote_options(…)` says."""
        return dict(_options.get() or {})

    def submit(self, name: str, lease: bytes, values: Sequence[Any], wishes: dict[str, Any], over: Over) -> _Submitted:
        is_over, value = self._host.options(**{"name": name, **wishes}).remote(lease, *values)
        is_over.future().add_done_callback(lambda done: over(self._trouble(done)))
        return _Submitted(self._ray, is_over, value)

    def fetch(self, handle: Any) -> bytes:
        while not self.lost:
            with contextlib.suppress(self._ray.exceptions.GetTimeoutError):
                return self._ray.get(handle, timeout=FETCH_SECONDS)  # type: ignore[no-any-return]
        raise ConnectionError("Ray's head is gone")

    def _trouble(self, done: Any) -> Trouble | None:
        error = done.exception()
        if error is None:
            return None
        lines = str(error).strip().splitlines() or [type(error).__name__]
        is_loss = isinstance(error, self._losses)
        return Trouble(lines[0 if is_loss else -1], is_loss)

    def close(self) -> None:
        if self._pulse is not None:
            self._pulse.stop()
        if self._own or self._gone:
            self._end()

    def _end(self) -> None:
        with self._ending:
            self._ray.shutdown()


def _cause(error: BaseException) -> BaseException:
    """What Ray says is wrong, which may be below what it raises."""
    below: BaseException | None = error
    while below is not None:
        if type(below).__name__ == "AuthenticationError":
            return below
        below = below.__cause__
    return error


def _host(lease: bytes, *values: bytes) -> tuple[bool, bytes]:
    return True, host(lease, *values, node=RayNode())


class RayNode(Node):
    """A worker of Ray's, in whose process this is."""

    def devices(self) -> dict[str, str]:
        import ray

        # (Variables of an earlier task, with devices, are still there.)
        if not any(ray.get_runtime_context().get_accelerator_ids().values()):
            return {}
        return {name: os.environ[name] for name in DEVICES if name in os.environ}


class _Submitted:
    def __init__(self, ray: Any, over: Any, value: Any) -> None:
        self._ray, self._over, self.value = ray, over, value

    def cancel(self) -> None:
        self._ray.cancel(self._over, force=False)
